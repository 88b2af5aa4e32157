"""Every key that tinyqueue uses in Redis."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from tinyqueue.data.identity import EXPERIMENT_PATTERN
from tinyqueue.errors import ConfigError

EXPERIMENTS = "tinyqueue:experiments"
"""Set of the names that have a spec."""
_ATTEMPTS = "attempts"


def attempts_key(task_id: str) -> str:
    """The count of how often a task was begun. The only kind of key that a player may set.

    Its name is a hash of four hexadecimal digits, as the access rules demand. So whatever a player
    writes, there are at most 65,536 such keys, all of one length: 6 MB. Two tasks may share a
    count, and the worst of that is that one is put aside too early and another is sent.
    """
    digest = hashlib.blake2b(task_id.encode(), digest_size=2).hexdigest()
    return f"tinyqueue:{_ATTEMPTS}:{digest}"


@dataclass(frozen=True)
class Keys:
    """The keys of one experiment.

    Raises:
        ConfigError: The name is not valid for an experiment, or its keys would be among those
            that players may write.
    """

    experiment: str

    def __post_init__(self) -> None:
        if not EXPERIMENT_PATTERN.fullmatch(self.experiment) or self.experiment == _ATTEMPTS:
            raise ConfigError(
                f"{self.experiment[:60]!r} cannot name an experiment: use 1–48 of a–z, 0–9, '-' "
                f"and '_', beginning with a letter or digit, and not {_ATTEMPTS!r}."
            )

    @property
    def spec(self) -> str:
        """The experiment spec, as JSON."""
        return self._of("spec")

    @property
    def head(self) -> str:
        """Number of the newest weight version."""
        return self._of("head")

    @property
    def versions(self) -> str:
        """List of the newest weight versions, newest first."""
        return self._of("versions")

    @property
    def lease(self) -> str:
        """The learner's lease, a hash with a time to live."""
        return self._of("lease")

    @property
    def epoch(self) -> str:
        """The highest epoch that a learner has had."""
        return self._of("epoch")

    @property
    def stop(self) -> str:
        """The epoch of the learner that was asked to stop."""
        return self._of("stop")

    @property
    def status(self) -> str:
        """The status document that the learner writes, as JSON."""
        return self._of("status")

    @property
    def credits(self) -> str:
        """List of the credits that players take. They may take, and not add."""
        return self._of("credits")

    def graph(self, sha256: str) -> str:
        """The ONNX graph with this hash."""
        return self._of(f"graph:{sha256}")

    def weights(self, version: int | str) -> str:
        """The encoded arrays of a weight version."""
        return self._of(f"weights:{version}")

    def pin(self, version: int | str) -> str:
        """Exists while a version must be kept even though there are newer ones."""
        return self._of(f"pin:{version}")

    def _of(self, what: str) -> str:
        return f"tinyqueue:{self.experiment}:{what}"
