"""What the learner asks of an algorithm."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeAlias, TypeVar

from tinyqueue.algorithms.state import restore_variables, values
from tinyqueue.data.spaces import Array, Arrays, Space
from tinyqueue.errors import TinyqueueError
from tinyqueue.models.network import Network, Output
from tinyqueue.models.tensors import Variable
from tinyqueue.replay.plan import ReplayPlan

C = TypeVar("C")
"""An algorithm's config."""
E = TypeVar("E")
"""Its experience: session batches of the same T, already checked; or a sample of the replay."""

HeadConfig: TypeAlias = Mapping[str, bool | int | float | str]
"""What an action head is told, as ``PlaySpec.head_config`` carries it."""


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


class Algorithm(ABC, Generic[C, E]):
    """Learns from experience. Touches no broker, no store, no files, no environment.

    A class is all that the registry knows of an algorithm.

    Args:
        config: An instance of ``Config``.
        network: With the outputs that :meth:`outputs` asked for.
        actions: The environment's action space.

    Attributes:
        kept: Every variable that training goes on from, by its name in a checkpoint: those of the
            network as ``model/…``, and of the optimiser. Set by the subclass.
        Config: The frozen dataclass of its hyper-parameters.
        head: Name of the action head that players use, in ``tinyqueue.policy.heads``.
        acting_outputs: Network outputs that the head reads; only they are exported.
        records_entropy: Whether the head can record the entropy of its choices.
        needs_memory: Whether it makes little sense with a network that has no recurrent state.
    """

    Config: ClassVar[type[Any]]
    head: ClassVar[str]
    acting_outputs: tuple[str, ...]
    kept: Mapping[str, Variable]
    records_entropy: ClassVar[bool] = False
    needs_memory: ClassVar[bool] = False

    @abstractmethod
    def __init__(self, config: C, network: Network, actions: Space) -> None: ...

    @classmethod
    @abstractmethod
    def outputs(cls, actions: Space, config: C) -> dict[str, Output]:
        """The network outputs it wants, by name.

        Raises:
            ConfigError: It cannot act in this space.
        """

    @classmethod
    def check(cls, config: C, slots: int) -> None:
        """Refuses settings that do not fit one another, before anything is built.

        Args:
            slots: B₁+B₂+…, of all session batches of an update.

        Raises:
            ConfigError: They do not fit.
        """
        return None

    @property
    def replay(self) -> ReplayPlan | None:
        """What it asks of the replay that its experience is sampled from; None when it trains on
        session batches as they come."""
        return None

    @property
    def head_config(self) -> HeadConfig:
        """The head's configuration."""
        return {}

    @abstractmethod
    def update(self, experience: E, env_steps: int) -> Update:
        """One optimiser step, or several on the same experience.

        Args:
            experience: Its arrays are read before returning.
            env_steps: The clock of every schedule, before these batches.

        Raises:
            LossNotFiniteError: The weights are as before the step that failed.
        """

    @abstractmethod
    def prepare(self, ticks: int, slots: int, mask_size: int = 0) -> None:
        """Builds the update ahead of the first, which is then as fast as any other (0.5 s are
        saved). State and weights are as before.

        Args:
            ticks, slots: T and B of what it trains on together; a replay's plan says the same.
            mask_size: n of the environment's action masks; 0 without.
        """

    def state(self) -> Arrays:
        """What is kept, as copies."""
        return values(self.kept)

    def restore(self, state: Arrays) -> None:
        """Goes back to a state.

        Raises:
            CheckpointError: It is another model's or another optimiser's.
        """
        restore_variables(self.kept, state)
