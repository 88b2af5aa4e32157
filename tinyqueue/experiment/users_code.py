"""Errors in code that a user brought: what was being done, and the traceback from there on.

:mod:`tinyqueue.experiment.brought` names the module of a file by its content, which tells its
frames from all others.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from tinyqueue.errors import TinyqueueError

MODULE = re.compile(r".*-[0-9a-f]{16}")
"""Names of modules of users' files. No module that ``import`` finds can have a hyphen."""


@contextmanager
def doing(what: str) -> Iterator[None]:
    """Notes what was being done on every error that is not tinyqueue's own.

    Args:
        what: Such as ``"in update 12, at 12,288 env steps"``.
    """
    try:
        yield
    except TinyqueueError:
        raise
    except Exception as error:
        error.add_note(what)
        raise


def users_failure(error: BaseException) -> str | None:
    """An error from a user's file, told from there on; None if it came from elsewhere.

    Args:
        error: Any exception that was raised.

    Returns:
        What failed and what was being done, then the traceback without the frames that led to the
        user's code.
    """
    step = error.__traceback__
    while step is not None and not _is_users(step.tb_frame):
        step = step.tb_next
    if step is None:
        return None
    code = step.tb_frame.f_code
    notes = ", ".join(getattr(error, "__notes__", ()))
    text = "".join(traceback.format_exception(type(error), error, step)).rstrip()
    return (
        f"{code.co_filename}: {code.co_qualname} raised {type(error).__name__}"
        f"{', ' if notes else ''}{notes}.\n{text}"
    )


def _is_users(frame: FrameType) -> bool:
    return MODULE.fullmatch(str(frame.f_globals.get("__name__", ""))) is not None
