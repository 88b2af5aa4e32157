"""Commands that a person is advised to type, complete enough to work as they are."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from tinyqueue.settings import load_settings


def command(*words: str | Path | int) -> str:
    """A command of tinyqueue, with the variables that the present one was given.

    Whoever wrote them before this command alone needs them before the next one too.
    """
    modules = ",".join(load_settings().environment_modules)
    return f"{variables(modules, os.environ.get('PYTHONPATH', ''))}{shlex.join(map(str, words))}"


def variables(modules: str, path: str) -> str:
    """What stands before a command that needs modules, with a space behind it; else empty.

    Args:
        modules: ``TINYQUEUE_ENVIRONMENT_MODULES``.
        path: ``PYTHONPATH``, which is of no use without modules.
    """
    before = f"TINYQUEUE_ENVIRONMENT_MODULES={shlex.quote(modules)} " if modules else ""
    return f"{before}PYTHONPATH={shlex.quote(path)} " if modules and path else before
