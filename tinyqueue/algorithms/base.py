"""What the learner asks of an algorithm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from tinyqueue.data.spaces import Array, Arrays
from tinyqueue.errors import TinyqueueError
from tinyqueue.replay.plan import ReplayPlan


class LossNotFiniteError(TinyqueueError):
    """A step whose loss or gradient is not a finite number. It was not applied."""


@dataclass(frozen=True)
class Update:
    """What one update was like.

    Attributes:
        metrics: By name, of ``tinyqueue.monitor.metrics``.
        priorities: ``[N]`` of the sampled items, for a prioritised replay; None without one.
    """

    metrics: dict[str, float]
    priorities: Array | None = None


class Algorithm(Protocol):
    """Learns from experience. Touches no broker, no store, no files, no environment.

    Attributes:
        replay: What it asks of the replay that its experience is sampled from; None when it
            trains on session batches as they come, each once.
        head: Name of the action head that players use, in ``tinyqueue.policy.heads``.
        head_config: The head's configuration.
        acting_outputs: Network outputs that the head reads; only they are exported.
    """

    @property
    def replay(self) -> ReplayPlan | None: ...

    @property
    def head(self) -> str: ...

    @property
    def head_config(self) -> Mapping[str, Any]: ...

    @property
    def acting_outputs(self) -> tuple[str, ...]: ...

    def update(self, experience: Any, env_steps: int) -> Update:
        """One optimiser step, or several on the same experience.

        Args:
            experience: Session batches of the same T, already checked; or a sample of the
                replay. Its arrays are read before returning.
            env_steps: The clock of every schedule, before these batches.

        Raises:
            LossNotFiniteError: The weights are as before the step that failed.
        """

    def prepare(self, ticks: int, slots: int) -> None:
        """Builds the update ahead of the first, which is then as fast as any other (0.5 s are
        saved). State and weights are as before.

        Args:
            ticks, slots: T and B of what it trains on together; a replay's plan says the same.
        """

    def state(self) -> Arrays:
        """Everything that training goes on from: model and optimiser, by name. Copies."""

    def restore(self, state: Arrays) -> None:
        """Goes back to a state.

        Raises:
            CheckpointError: It is another model's or another optimiser's.
        """
