"""Refusing a script that trains on import: every process that imports it would train again."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from tinyqueue.errors import ConfigError

_IMPORTING = "TINYQUEUE_IMPORTING"
_TRAINING = "TINYQUEUE_TRAINING"
"""Set in a process and inherited by its children; the value is the id of the training process."""


@contextmanager
def importing(module: str) -> Iterator[None]:
    """Inside it, a module that registers environments is being imported."""
    with _set(_IMPORTING, module):
        yield


@contextmanager
def training() -> Iterator[None]:
    """Inside it, this process trains.

    Raises:
        ConfigError: It is only importing a module, or is a child of a process that trains.
    """
    refuse_nested_training()
    with _set(_TRAINING, str(os.getpid())):
        yield


def refuse_nested_training() -> None:
    """Returns if training may begin in this process.

    Raises:
        ConfigError: This process is only importing a module, or is a child of one that trains.
    """
    module = os.environ.get(_IMPORTING)
    trainer = os.environ.get(_TRAINING, str(os.getpid()))
    # Set by multiprocessing in a process that is importing its parent's script.
    is_spawned = getattr(multiprocessing.current_process(), "_inheriting", False)
    if not module and not is_spawned and trainer == str(os.getpid()):
        return
    what = f"the module {module}" if module else "the script"
    error = ConfigError(
        f"{what} trains whenever it is imported, and processes that only play import it too: "
        'put the call to tinyqueue.train under `if __name__ == "__main__":`.'
    )
    _end_in_a_sentence(error)
    raise error


def _end_in_a_sentence(error: ConfigError) -> None:
    """If this process ends by the error, it prints no traceback, which would be all imports."""
    before = sys.excepthook

    def show(kind: type[BaseException], raised: BaseException, trace: TracebackType | None) -> None:
        if raised is error:
            print(f"error: {error}", file=sys.stderr)
        else:
            before(kind, raised, trace)

    sys.excepthook = show


@contextmanager
def _set(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = before
