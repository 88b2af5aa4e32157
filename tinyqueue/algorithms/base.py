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
"""Its experience: session batches of the same T, already checked; or a sample from the replay."""

HeadConfig: TypeAlias = Mapping[str, bool | int | float | str]
"""What an action head is told, as ``PlaySpec.head_config`` carries it."""


class LossNotFiniteError(TinyqueueError):
    """The loss or gradient of an update is not a finite number. The update was not applied."""


@dataclass(frozen=True)
class Update:
    """The report of one update.

    Attributes:
        metrics: Values by name; names from ``tinyqueue.monitor.metrics``.
        priorities: ``[N]`` new priorities of the sampled items; None unless the replay is
            prioritised.
    """

    metrics: dict[str, float]
    priorities: Array | None = None


class Algorithm(ABC, Generic[C, E]):
    """Learns from experience. Touches no broker, no store, no files, no environment.

    The class is all that the registry knows about an algorithm.

    Args:
        config: An instance of ``Config``.
        network: A network with the outputs that :meth:`outputs` asked for.
        actions: The environment's action space.
        mask_size: Size of the action mask in every row of experience; 0 if the environment has
            none. Actions that a mask forbids are never taken, so no update may rely on them.

    Attributes:
        kept: Every variable needed to continue training, by its name in a checkpoint: the
            network's as ``model/…``, and the optimiser's. Set by the subclass.
        Config: The frozen dataclass of its hyper-parameters.
        head: Name of the action head that players use, in ``tinyqueue.policy.heads``.
        acting_outputs: Network outputs that the head reads; only they are exported.
        records_entropy: Whether the head can record the entropy of the policy.
        needs_memory: Whether it makes little sense without a recurrent network.
    """

    Config: ClassVar[type[Any]]
    head: ClassVar[str]
    acting_outputs: tuple[str, ...]
    kept: Mapping[str, Variable]
    records_entropy: ClassVar[bool] = False
    needs_memory: ClassVar[bool] = False

    @abstractmethod
    def __init__(self, config: C, network: Network, actions: Space, mask_size: int = 0) -> None: ...

    @classmethod
    @abstractmethod
    def outputs(cls, actions: Space, config: C) -> dict[str, Output]:
        """The network outputs that it needs, by name.

        Raises:
            ConfigError: The algorithm does not support this action space.
        """

    @classmethod
    def check(cls, config: C, slots: int) -> None:
        """Rejects settings that contradict one another, before anything is built.

        Args:
            config: The settings.
            slots: Environments in one update: B₁+B₂+… over its session batches.

        Raises:
            ConfigError: The settings do not fit together.
        """
        return None

    @property
    def replay(self) -> ReplayPlan | None:
        """What it needs from the replay; None if it trains on session batches as they arrive."""
        return None

    @property
    def head_config(self) -> HeadConfig:
        """The configuration of the action head that players use."""
        return {}

    @abstractmethod
    def update(self, experience: E, env_steps: int) -> Update:
        """Takes one or more optimiser steps on the same experience.

        Args:
            experience: What to train on. Its arrays are not needed after the return.
            env_steps: Env steps before this experience: the clock of every schedule.

        Raises:
            LossNotFiniteError: A loss or gradient was not finite. Weights, optimiser and schedules
                are as before.
        """

    def is_sound(self, experience: E, env_steps: int) -> bool | None:
        """Whether an update on this experience would have a finite loss and gradient.

        Nothing changes. It is asked after an update failed, to find what made it fail.

        Args:
            experience: As in :meth:`update`, of the same size.
            env_steps: As in :meth:`update`.

        Returns:
            None, which is the default, if it cannot tell.
        """
        return None

    @abstractmethod
    def prepare(self, ticks: int, slots: int) -> None:
        """Builds the graph before the first update, so that it is as fast as any other.

        This saves 0.5 s. State and weights do not change.

        Args:
            ticks: T of an update. Ignored where the replay plan fixes the shapes.
            slots: B of an update. Ignored likewise.
        """

    def state(self) -> Arrays:
        """Copies of all variables in ``kept``, by name."""
        return values(self.kept)

    def restore(self, state: Arrays) -> None:
        """Restores what :meth:`state` returned.

        Raises:
            CheckpointError: The state belongs to another model or optimiser.
        """
        restore_variables(self.kept, state)
