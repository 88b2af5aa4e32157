"""What every algorithm on the stream has, whatever its network says: updates on session batches."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Protocol, TypeVar

import numpy as np

from tinyqueue.algorithms.base import Algorithm, LossNotFiniteError
from tinyqueue.algorithms.descent import NO_RATE, Compiled, Descent, schedule
from tinyqueue.algorithms.optimisers import OptimiserName
from tinyqueue.algorithms.trajectories import Trajectories, TrajectoryLayout
from tinyqueue.data.session import SessionBatch
from tinyqueue.data.spaces import Array
from tinyqueue.distributions import Tensor
from tinyqueue.models.network import Network


class SessionUpdatesConfig(Protocol):
    """Settings that the optimiser and the rewards need."""

    @property
    def learning_rate(self) -> float:
        """Step size of the optimiser, at first."""

    @property
    def learning_rate_end(self) -> float:
        """Step size after ``anneal_steps``."""

    @property
    def anneal_steps(self) -> int:
        """Env steps until then; 0 keeps the learning rate constant."""

    @property
    def optimiser(self) -> OptimiserName:
        """Name of the optimiser."""

    @property
    def epsilon(self) -> float:
        """Its ε."""

    @property
    def max_grad_norm(self) -> float:
        """Gradients are scaled down to this global norm."""

    @property
    def reward_scale(self) -> float:
        """Factor on rewards, after clipping."""

    @property
    def reward_clip(self) -> float | None:
        """Rewards are clipped to ± this."""


S = TypeVar("S", bound=SessionUpdatesConfig)


class SessionUpdates(Algorithm[S, Sequence[SessionBatch]]):
    """Trains a network on session batches as they arrive, all of an update side by side.

    A subclass sets ``Config`` and writes ``update`` and :meth:`_learn`. It has ``_config``,
    ``_network``, ``_layout`` (session batches as tensors), ``_learning_rate`` (a function of env
    steps) and ``_descent`` (takes the optimiser's steps).
    """

    def __init__(self, config: S, network: Network, layout: TrajectoryLayout) -> None:
        self._config = config
        self._network = network
        self._layout = layout
        self._learning_rate = schedule(
            config.learning_rate, config.learning_rate_end, config.anneal_steps
        )
        self._descent = Descent(network, config.optimiser, config.epsilon, config.max_grad_norm)
        self.kept = self._descent.kept
        self._graph = Compiled(self._learn)
        self._takes_steps = True

    def _settings(self, ticks: int, slots: int, env_steps: int) -> tuple[Array, ...]:
        """What changes between updates: the learning rate first, and what a subclass adds."""
        return (np.asarray(self._learning_rate(env_steps), np.float32),)

    @abstractmethod
    def _learn(self, settings: tuple[Tensor, ...], batch: Trajectories[Tensor]) -> Tensor:
        """The update, inside a graph. Returns its metrics as one float32 vector."""

    def _run(self, batches: Sequence[SessionBatch], env_steps: int) -> list[float]:
        """The metrics of :meth:`_learn` for these batches."""
        batch = self._layout.arrays(batches)
        ticks, slots = batch.rewards.shape
        scheduled, *others = self._settings(ticks, slots, env_steps)
        settings = (scheduled if self._takes_steps else np.asarray(NO_RATE), *others)
        numbers: list[float] = self._graph(settings, batch).tolist()
        return numbers

    def is_sound(self, batches: Sequence[SessionBatch], env_steps: int) -> bool:
        """Whether an update on these batches would have a finite loss and gradient."""
        self._takes_steps = False
        try:
            self.update(batches, env_steps)
        except LossNotFiniteError:
            return False
        finally:
            self._takes_steps = True
        return True

    def prepare(self, ticks: int, slots: int) -> None:
        """Runs one update on zeros, then restores the state."""
        before = self.state()
        self._graph(self._settings(ticks, slots, 0), self._layout.nothing(ticks, slots))
        self.restore(before)
