"""Reporting what an environment did wrong to the person who wrote it.

An exception from an environment becomes an :class:`~tinyqueue.errors.EnvironmentFailedError` that
names the environment, what was being done, and the line of the user's own code. Ctrl-C, time
limits and tinyqueue's own errors pass unchanged.
"""

from __future__ import annotations

import signal
import sysconfig
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import gymnasium

from tinyqueue.errors import EnvironmentFailedError, TinyqueueError

ONLY_ONE = (
    "If a second one cannot exist next to the first, give each its own with {slot} in an argument "
    '(--set environment.kwargs.port="{slot+5000}"), or play with one: --players 1 '
    "--set session.slots=1 --set evaluation.slots=1"
)
"""Advice where the first environment on a machine could be built and another could not."""

_MOST_TEXT, _MOST_SHOWN = 300, 80
_ENDS_PROCESSES = {"billiard", "celery", "tinyqueue"}
# Packages whose signal handlers raise exceptions that end a process.
_OWN = str(Path(__file__).resolve().parents[1])
_SOUND = ("tinyqueue", "gymnasium")
# Packages whose wrappers hand on what they are given.
_GIVES = {"step": ("step", "reward", "observation"), "reset": ("reset", "observation")}
# Call → the methods of a wrapper that its values may come from.
_INSTALLED = tuple({sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")})


@contextmanager
def blaming(environment_id: str, doing: str) -> Iterator[None]:
    """Inside it, whatever an environment raises becomes an EnvironmentFailedError.

    Args:
        environment_id: Id of the environment.
        doing: What is asked of it, as in ``"step 17 in slot 3"``.
    """
    try:
        yield
    except BaseException as error:
        if not is_environments(error):
            raise
        raise failed(error, environment_id, doing) from error


class BrokenRuleError(Exception):
    """What an environment returned does not fit its own spaces or Gymnasium's interface.

    Args:
        kind: The rule, in one word, such as ``"observation-shape"``.
        text: What was returned, and what was expected.
    """

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


class HangError(BaseException):
    """Raised inside a call that takes too long.

    It is not an Exception, because an environment might catch those.
    """

    kind = "hang"

    def __init__(self, most_s: float) -> None:
        super().__init__(f"it did not return within {most_s:g} s, which is environment.hang_s")


def is_environments(error: BaseException) -> bool:
    """Whether this is an environment's fault, and not Ctrl-C, a time limit or tinyqueue's own.

    A call of ``sys.exit`` in an environment is its fault; one in a signal handler, by which
    Celery's processes end, is not. KeyboardInterrupt is its fault if Ctrl-C does not raise it.
    """
    if isinstance(error, TinyqueueError | GeneratorExit):
        return False
    if isinstance(error, KeyboardInterrupt):
        ctrl_c_raises = signal.getsignal(signal.SIGINT) == signal.default_int_handler
        return not ctrl_c_raises and not _is_of_a_handler(error)
    if isinstance(error, SystemExit):
        return not _is_of_a_handler(error)
    return not is_time_limit(error)


def _is_of_a_handler(error: BaseException) -> bool:
    """Whether a signal handler raised this, wherever the code happened to be."""
    frames = traceback.extract_tb(error.__traceback__)
    # In a pool child, billiard has put a function of its own in the place of sys.exit.
    while frames and frames[-1].name == "exit" and _is_of(frames[-1], {"billiard"}):
        frames.pop()
    return bool(frames) and _is_of(frames[-1], _ENDS_PROCESSES)


def _is_of(frame: traceback.FrameSummary, packages: set[str]) -> bool:
    return not packages.isdisjoint(Path(frame.filename).parts)


def is_time_limit(error: BaseException) -> bool:
    """Whether this is Celery's soft time limit, which can be raised anywhere in the code.

    It is recognised by name, since nothing here may import Celery.
    """
    return any(kind.__name__ == "SoftTimeLimitExceeded" for kind in type(error).__mro__)


def failed(
    error: BaseException, environment_id: str, doing: str, *, place: str = ""
) -> EnvironmentFailedError:
    """The error to raise in place of what an environment raised or returned.

    Args:
        error: What was raised.
        environment_id: Id of the environment that raised it.
        doing: What was asked of it, as for :func:`blaming`.
        place: Where it comes from, if no line of the traceback is the user's.
    """
    said, kind = words(error), type(error).__name__
    within = wrapper_in(error.__traceback__)
    if within and "wrapper" not in doing:
        doing = f"{doing}, in the wrapper {within}"
    place = user_place(error.__traceback__) or place
    if isinstance(error, BrokenRuleError | HangError):
        kind = error.kind
    else:
        said = f"{kind}: {said}" if said else kind
    said += _explanation(error)
    return EnvironmentFailedError(
        f"{environment_id} failed in {doing}: {said}{f' (at {place})' if place else ''}",
        kind=kind,
        place=place,
        traceback=_traceback(error),
    )


def _explanation(error: BaseException) -> str:
    """What to add to an exception whose own words do not say what is wrong."""
    if isinstance(error, AttributeError) and error.name in ("observation_space", "action_space"):
        return f"; set self.{error.name} in its constructor"
    call = "breakpoint()" if type(error).__name__ == "BdbQuit" else ""
    if isinstance(error, EOFError) and "reading a line" in str(error):
        call = "input()"
    if not call:
        return ""
    return f"; nobody can answer {call}: environments are played without a terminal"


def advised(failure: EnvironmentFailedError, advice: str) -> EnvironmentFailedError:
    """The same failure, with what to do about it."""
    return EnvironmentFailedError(
        f"{failure}. {advice}",
        kind=failure.kind,
        place=failure.place,
        traceback=failure.traceback,
    )


def defined_at(method: object) -> str:
    """``file.py:31``: where a method of an environment is defined; empty if unknown."""
    code = getattr(getattr(method, "__func__", method), "__code__", None)
    return f"{Path(code.co_filename).name}:{code.co_firstlineno}" if code else ""


def place_of(environment: gymnasium.Env[Any, Any], call: str) -> str:
    """``file.py:31``: where the values of ``step`` or ``reset`` were made; empty if unknown.

    That is the user's outermost wrapper that may have changed them, or else the environment.
    """
    while isinstance(environment, gymnasium.Wrapper):
        kind = type(environment)
        if kind.__module__.partition(".")[0] not in _SOUND:
            for name in _GIVES.get(call, (call,)):
                if name in vars(kind):
                    return defined_at(vars(kind)[name])
        environment = environment.env
    return defined_at(getattr(environment, call, None))


def wrapper_in(tb: TracebackType | None) -> str:
    """``module:Class`` of the wrapper that raised; empty if it was the environment within."""
    innermost = None
    for frame, _ in traceback.walk_tb(tb):
        owner = frame.f_locals.get("self")
        if isinstance(owner, gymnasium.Env):
            innermost = owner
    kind = type(innermost)
    if not isinstance(innermost, gymnasium.Wrapper) or kind.__module__.startswith("tinyqueue."):
        return ""
    return f"{kind.__module__}:{kind.__qualname__}"


def shown(value: object) -> str:
    """A value for a message: one short line, whatever its ``repr`` does."""
    try:
        text = " ".join(repr(value).split())
    except Exception:
        text = f"a {type(value).__name__}"
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"


def words(error: BaseException) -> str:
    """An exception's text, on one short line."""
    try:
        return " ".join(str(error).split())[:_MOST_TEXT]
    except Exception:
        # The str() of a foreign exception may itself raise.
        return ""


def _traceback(error: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(error))
    except Exception:
        return ""


def user_place(tb: TracebackType | None) -> str:
    """``file.py:31``: the innermost line of the user's own code, else of an installed package.

    tinyqueue's own lines are skipped, so it is empty for a fault within tinyqueue.
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
