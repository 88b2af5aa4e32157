"""Every key that tinyqueue has in Redis."""

from __future__ import annotations

from dataclasses import dataclass

from tinyqueue.data.identity import EXPERIMENT_PATTERN
from tinyqueue.errors import ConfigError

EXPERIMENTS = "tinyqueue:experiments"
"""Set of the names that have a spec."""
_ATTEMPTS = "attempts"


def attempts_key(task_id: str) -> str:
    """Counts how often a task was begun. The only keys that a player may write."""
    return f"tinyqueue:{_ATTEMPTS}:{task_id}"


@dataclass(frozen=True)
class Keys:
    """The keys of one experiment.

    Raises:
        ConfigError: The name is not an experiment's, or its keys would be among those
            that players may write.
    """

    experiment: str

    def __post_init__(self) -> None:
        if not EXPERIMENT_PATTERN.fullmatch(self.experiment) or self.experiment == _ATTEMPTS:
            raise ConfigError(
                f"{self.experiment[:60]!r} cannot name an experiment: 1–48 of a–z, 0–9, '-' and "
                f"'_', beginning with a letter or digit, and not {_ATTEMPTS!r}."
            )

    @property
    def spec(self) -> str:
        return self._of("spec")

    @property
    def head(self) -> str:
        """Number of the newest weight version."""
        return self._of("head")

    @property
    def versions(self) -> str:
        """List of the newest weight versions, the newest first."""
        return self._of("versions")

    @property
    def lease(self) -> str:
        return self._of("lease")

    @property
    def epoch(self) -> str:
        """The highest epoch that a learner has had."""
        return self._of("epoch")

    @property
    def stop(self) -> str:
        """The epoch of the learner that is asked to stop."""
        return self._of("stop")

    @property
    def status(self) -> str:
        return self._of("status")

    def graph(self, sha256: str) -> str:
        return self._of(f"graph:{sha256}")

    def weights(self, version: int | str) -> str:
        return self._of(f"weights:{version}")

    def pin(self, version: int | str) -> str:
        """Exists while a version must be kept although newer ones have come."""
        return self._of(f"pin:{version}")

    def _of(self, what: str) -> str:
        return f"tinyqueue:{self.experiment}:{what}"
