"""What an environment did wrong, said to the person who wrote it.

An exception of an environment becomes an :class:`~tinyqueue.errors.EnvironmentFailedError` that
names the environment, what was being done, and the line of the user's own code. Ctrl-C, time
limits and tinyqueue's own errors pass as they are.
"""

from __future__ import annotations

import sysconfig
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from tinyqueue.errors import EnvironmentFailedError, TinyqueueError

_MOST_TEXT = 300
_OWN = str(Path(__file__).resolve().parents[1])
_INSTALLED = tuple({sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")})


@contextmanager
def blaming(environment_id: str, doing: str) -> Iterator[None]:
    """Inside, whatever an environment raises becomes an EnvironmentFailedError.

    Args:
        environment_id: Which environment.
        doing: What is asked of it, as in ``"step 17 in slot 3"``.
    """
    try:
        yield
    except TinyqueueError:
        raise
    except Exception as error:
        if is_time_limit(error):
            raise
        raise failed(error, environment_id, doing) from error


def is_time_limit(error: BaseException) -> bool:
    """Whether this is Celery's soft time limit, which is raised wherever the code happens to be.

    By name, since nothing here may import Celery.
    """
    return any(kind.__name__ == "SoftTimeLimitExceeded" for kind in type(error).__mro__)


def failed(error: BaseException, environment_id: str, doing: str) -> EnvironmentFailedError:
    """The error to raise in place of what an environment raised."""
    said = " ".join(str(error).split())[:_MOST_TEXT]
    kind = type(error).__name__
    place = user_place(error.__traceback__)
    return EnvironmentFailedError(
        f"{environment_id} failed in {doing}: {kind}{f': {said}' if said else ''}"
        f"{f' (at {place})' if place else ''}",
        kind=kind,
        place=place,
        traceback="".join(traceback.format_exception(error)),
    )


def user_place(tb: TracebackType | None) -> str:
    """``file.py:31``: the innermost line of the user's own code, else of an installed package.

    tinyqueue's lines are passed over, so it is empty for a fault that never left them.
    """
    frames = [
        frame
        for frame in traceback.extract_tb(tb)
        if not str(Path(frame.filename).resolve()).startswith(_OWN)
    ]
    users = [frame for frame in frames if not frame.filename.startswith(("<", *_INSTALLED))]
    for frame in reversed(users or frames):
        return f"{Path(frame.filename).name}:{frame.lineno}"
    return ""
