"""The one error tree of tinyqueue.

    TinyqueueError
    ├── ConfigError                  a key or value from the user that cannot be used
    │   └── UnknownNameError         … a name that refers to nothing; suggests the nearest
    ├── MissingExtraError            an optional dependency is not installed
    ├── NotNowError                  what was asked cannot be done now: try again
    │   ├── ServiceUnreachableError  … broker or store does not answer, or refuses
    │   ├── LeaseNotRenewedError     … the learner's lease could not be renewed in time
    │   └── DiskFullError            … the disk is full: nothing was written
    ├── EnvironmentMismatchError     two sides built different environments
    ├── EnvironmentFailedError       an environment raised, hung, or broke its own spaces
    ├── MessageError                 bytes from the bus that are refused; carries a reason
    ├── LeaseHeldError               another learner trains this experiment
    ├── LeaseLostError               this learner has been replaced
    ├── StaleEpochError              a weight publish from a learner that has been replaced
    ├── MissingVersionError          a weight version that is no longer kept
    ├── CheckpointError              a checkpoint that is torn, corrupt or of another experiment
    ├── FilmError                    a film that cannot be made or written
    └── RunDirectoryError            a run directory that is missing, in use, or of another schema
        └── NothingRecordedError     … that has not recorded yet what was asked for

Every message says what happened, why, and what to do next. The command line
prints the message of a ``TinyqueueError`` without a traceback and exits 1.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path

from tinyqueue.installing import install_command


class TinyqueueError(Exception):
    """Base of every error that tinyqueue raises on purpose."""


class ConfigError(TinyqueueError):
    """A key or a value that the user wrote cannot be used.

    Args:
        text: The message.
        wrote: The word that cannot be used, if it may be part of a command.
        instead: The words to write in its place.
    """

    def __init__(self, text: str, *, wrote: str = "", instead: Iterable[str] = ()) -> None:
        super().__init__(text)
        self.wrote, self.instead = wrote, tuple(instead)


class UnknownNameError(ConfigError):
    """A name that refers to nothing.

    Args:
        kind: What was looked up, as a person would call it: ``"algorithm"``.
        name: What the user wrote.
        known: The names that would have worked; the nearest is suggested.
        meant: The name to suggest, if more than spelling decides; empty if none is near.
        advice: What else to do if no name is near.
    """

    def __init__(
        self,
        kind: str,
        name: str,
        known: Iterable[str],
        meant: str | None = None,
        advice: str = "",
    ) -> None:
        names = sorted(known)
        if meant is None:
            spelled = {one.lower(): one for one in names}
            near = difflib.get_close_matches(name.lower(), spelled, n=1, cutoff=0.5)
            nearest = [spelled[key] for key in near]
        else:
            nearest = [meant] if meant else []
        if nearest:
            hint = f"did you mean {nearest[0]!r}?"
        elif len(names) <= 20:
            hint = f"known: {', '.join(names)}.{advice and f' {advice}'}"
        else:
            hint = f"{len(names)} names are known and none is near.{advice and f' {advice}'}"
        super().__init__(f"unknown {kind} {name!r}; {hint}", wrote=name, instead=nearest)
        self.kind = kind


class MissingExtraError(TinyqueueError):
    """An optional dependency is needed but not installed.

    Args:
        extra: The extra of the tinyqueue distribution that installs it.
        purpose: What needs it: ``"training"``.
    """

    def __init__(self, extra: str, purpose: str) -> None:
        self.extra = extra
        super().__init__(
            f"{purpose} needs packages that are not installed. "
            f"Install them with: {install_command(extra)}"
        )


class NotNowError(TinyqueueError):
    """What was asked cannot be done now. The same call may be tried again."""


class ServiceUnreachableError(NotNowError):
    """The broker or the store does not answer, or refuses.

    Args:
        text: The message; a URL in it has its password masked.
        kind: What went wrong, in one word that is the same for every error of that kind.
    """

    def __init__(self, text: str, *, kind: str = "unreachable") -> None:
        super().__init__(text)
        self.kind = kind


class EnvironmentMismatchError(TinyqueueError):
    """An environment built here differs from the one in a spec or a checkpoint."""


class EnvironmentFailedError(TinyqueueError):
    """An environment raised, hung, or returned something outside its own spaces.

    Args:
        text: The message.
        kind: What failed, in one word that is the same for every failure of that kind: the name
            of the exception, or of the rule that was broken.
        place: Where in the user's code, ``"snake.py:31"``; empty if not known.
        traceback: The environment's own traceback, for logs; empty if there is none.
    """

    def __init__(self, text: str, *, kind: str, place: str = "", traceback: str = "") -> None:
        super().__init__(text)
        self.kind, self.place, self.traceback = kind, place, traceback


class MessageError(TinyqueueError):
    """Bytes from the bus that are refused.

    Args:
        reason: A short code that is counted and travels with the message to the
            dead-letter queue: one of ``tinyqueue.wire.limits.REASONS``.
        detail: What exactly was wrong.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class LeaseHeldError(TinyqueueError):
    """Another live learner trains this experiment."""


class LeaseLostError(TinyqueueError):
    """This learner has been replaced, or has given up its lease: it may do nothing any more."""


class LeaseNotRenewedError(NotNowError):
    """This learner's lease could not be renewed in time, but nobody is known to have taken it."""


class StaleEpochError(TinyqueueError):
    """A newer learner has published; this one may no longer publish."""


class MissingVersionError(TinyqueueError):
    """A weight version is not, or no longer, in the store."""


class CheckpointError(TinyqueueError):
    """A checkpoint is torn, corrupt, or does not belong to this experiment."""


class FilmError(TinyqueueError):
    """An environment that cannot be filmed, or a film that cannot be written."""


class RunDirectoryError(TinyqueueError):
    """A run directory is missing, in use, or of another schema."""


class NothingRecordedError(RunDirectoryError):
    """A run has not trained for long enough to have recorded what was asked for.

    Args:
        run: The run directory.
        text: The message; it ends with the advice to train for longer, without a full stop.
    """

    def __init__(self, run: Path, text: str) -> None:
        super().__init__(f"{text} Let it train for longer")
        self.run = run


class DiskFullError(NotNowError):
    """The disk is full. Nothing was written, and the same call may be tried again."""
