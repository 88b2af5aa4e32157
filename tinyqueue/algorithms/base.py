"""What the learner asks of an algorithm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from tinyqueue.data.session import SessionBatch
from tinyqueue.data.spaces import Arrays
from tinyqueue.errors import TinyqueueError


class LossNotFiniteError(TinyqueueError):
    """An update whose loss or gradient is not a finite number. It was not applied."""


class Algorithm(Protocol):
    """Learns from session batches. Touches no broker, no store, no files, no environment.

    Attributes:
        head: Name of the action head that players use, in ``tinyqueue.policy.heads``.
        head_config: The head's configuration.
        acting_outputs: Network outputs that the head reads; only they are exported.
    """

    @property
    def head(self) -> str: ...

    @property
    def head_config(self) -> Mapping[str, Any]: ...

    @property
    def acting_outputs(self) -> tuple[str, ...]: ...

    def update(self, batches: Sequence[SessionBatch], env_steps: int) -> dict[str, float]:
        """One optimiser step on all batches together, and its metrics.

        Args:
            batches: Of the same T, already checked; their arrays are read before returning.
            env_steps: The clock of every schedule, before these batches.

        Raises:
            LossNotFiniteError: The weights are as before.
        """

    def prepare(self, ticks: int, slots: int) -> None:
        """Builds the update for batches of this shape ahead of the first, which is then as fast
        as any other (0.5 s are saved). State and weights are as before.
        """

    def state(self) -> Arrays:
        """Everything that training goes on from: model and optimiser, by name. Copies."""

    def restore(self, state: Arrays) -> None:
        """Goes back to a state.

        Raises:
            CheckpointError: It is another model's or another optimiser's.
        """
