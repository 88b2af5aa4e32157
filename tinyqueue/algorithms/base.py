"""What the learner asks of an algorithm, and the base of those that train a Keras network.

:class:`AnyAlgorithm` is all that the learner relies on. An :class:`Algorithm` is given a Keras
network, and what players need is exported from it. An algorithm with a network of its own, in
whatever framework, derives from :class:`tinyqueue.algorithms.bare.BareAlgorithm`.
"""

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


class AnyAlgorithm(ABC, Generic[C, E]):
    """Learns from experience. Touches no broker, no store, no files, no environment.

    The class is all that the registry knows about an algorithm. Do not derive from it directly.

    Attributes:
        Config: The frozen dataclass of its hyper-parameters.
        head: Name of the action head that players use, in ``tinyqueue.policy.heads``.
        records_entropy: Whether the head can record the entropy of the policy.
    """

    Config: ClassVar[type[Any]]
    head: ClassVar[str]
    records_entropy: ClassVar[bool] = False

    @classmethod
    def check(cls, config: C, ticks: int, slots: int) -> None:
        """Rejects settings that contradict one another, before anything is built.

        Args:
            config: The settings.
            ticks: T of the session batches.
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

    def prepare(self, ticks: int, slots: int) -> None:
        """Builds the graph before the first update, so that it is as fast as any other.

        State and weights do not change. By default it does nothing.

        Args:
            ticks: T of an update. Ignored where the replay plan fixes the shapes.
            slots: B of an update. Ignored likewise.
        """
        return None

    @abstractmethod
    def state(self) -> Arrays:
        """Copies of everything needed to continue training, by name: the arrays of a checkpoint."""

    @abstractmethod
    def restore(self, state: Arrays) -> None:
        """Restores what :meth:`state` returned.

        Raises:
            CheckpointError: The state belongs to another network or optimiser.
        """


class Algorithm(AnyAlgorithm[C, E]):
    """An algorithm that trains a Keras network, which tinyqueue builds and exports.

    Args:
        config: An instance of ``Config``.
        network: A network with the outputs that :meth:`outputs` asked for.
        actions: The environment's action space.
        mask_size: Size of the action mask in every row of experience; 0 if the environment has
            none. Actions that a mask forbids are never taken, so no update may rely on them.

    Attributes:
        kept: Every variable needed to continue training, by its name in a checkpoint: the
            network's as ``model/…``, and the optimiser's. Set by the subclass.
        acting_outputs: Network outputs that the head reads; only they are exported.
        needs_memory: Whether it makes little sense without a recurrent network.
        needs_layer_norm: Whether it does not hold without LayerNorm in its network.
    """

    acting_outputs: tuple[str, ...]
    kept: Mapping[str, Variable]
    needs_memory: ClassVar[bool] = False
    needs_layer_norm: ClassVar[bool] = False

    @abstractmethod
    def __init__(self, config: C, network: Network, actions: Space, mask_size: int = 0) -> None: ...

    @classmethod
    @abstractmethod
    def outputs(cls, actions: Space, config: C) -> dict[str, Output]:
        """The network outputs that it needs, by name.

        Raises:
            ConfigError: The algorithm does not support this action space.
        """

    @abstractmethod
    def prepare(self, ticks: int, slots: int) -> None:
        """As :meth:`AnyAlgorithm.prepare`. This saves 0.5 s."""

    def state(self) -> Arrays:
        """Copies of all variables in ``kept``, by name."""
        return values(self.kept)

    def restore(self, state: Arrays) -> None:
        """Restores what :meth:`state` returned.

        Raises:
            CheckpointError: The state belongs to another model or optimiser.
        """
        restore_variables(self.kept, state)
