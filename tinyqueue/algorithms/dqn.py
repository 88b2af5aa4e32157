"""DQN (Mnih et al., 2015, doi:10.1038/nature14236) and its steps up to Ape-X (Horgan et al.,
2018, arXiv:1803.00933): double, dueling, n-step, prioritised, each a switch in the config.

A preset is a config with other defaults, so every setting of it can be overridden.

Deviations: initial priorities are |δ| of the players' own Q values; the gradient norm is clipped,
as in Rainbow and SB3, with the Huber loss too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import numpy as np

from tinyqueue.algorithms.q_targets import error_losses, state_values, taken
from tinyqueue.algorithms.ranges import Count, CountOrNone, NotNegative, Positive, Share
from tinyqueue.algorithms.value import QLearning, ValueConfig
from tinyqueue.distributions import Tensor
from tinyqueue.replay.samples import TransitionSample


@dataclass(frozen=True)
class DqnConfig(ValueConfig):
    """``dqn``: 1-step Q learning from a replay with a target network."""


@dataclass(frozen=True)
class DoubleDqnConfig(ValueConfig):
    """``double-dqn`` (van Hasselt et al., 2016, arXiv:1509.06461)."""

    double: bool = True


@dataclass(frozen=True)
class RainbowLiteConfig(ValueConfig):
    """``rainbow-lite``: Rainbow (Hessel et al., 2018, arXiv:1710.02298) without noisy layers and
    without the distribution of returns."""

    n_step: Count = 3
    """Rainbow: 3."""
    double: bool = True
    dueling: bool = True
    prioritised: bool = True
    priority_exponent: Share = 0.5
    """Rainbow: 0.5."""
    importance_steps: CountOrNone = 20_000
    """Rainbow anneals over the whole run; 20,000 updates is a run on a small task."""
    learning_rate: NotNegative = 1e-3
    """Acme's for small tasks; Rainbow on Atari 6.25e-5."""


@dataclass(frozen=True)
class ApexConfig(ValueConfig):
    """``apex`` (Horgan et al., 2018, arXiv:1803.00933): Rainbow's double, dueling, prioritised
    3-step learning with a different ε in every slot (environment), and large batches.

    On Atari: ``optimiser = "centred-rmsprop"``, ``epsilon = 1.5e-7``, ``learning_rate = 6.25e-5``,
    ``target_every_updates = 2500``, ``reward_clip = 1``.
    """

    n_step: Count = 3
    """Ape-X: 3."""
    double: bool = True
    dueling: bool = True
    prioritised: bool = True
    batch_size: Count = 512
    """Ape-X: 512."""
    learning_rate: NotNegative = 1e-3
    """Acme's for small tasks; Ape-X on Atari 6.25e-5."""
    max_grad_norm: Positive = 40.0
    """Ape-X: 40."""
    target_every_updates: Count = 100
    """Acme's for small tasks; Ape-X on Atari 2,500."""
    exploration: Literal["annealed", "by-slot"] = "by-slot"


@dataclass(frozen=True)
class OneStepQConfig(ValueConfig):
    """``q-1step``: asynchronous one-step Q learning (Mnih et al., 2016, arXiv:1602.01783).

    Meant for a replay as short as a queue: a small ``replay.capacity_steps``, as in the preset
    ``cartpole-q-1step``. Every slot has its own ε, as every thread had.
    """

    huber: bool = False
    batch_size: Count = 256
    learning_rate: NotNegative = 1e-3
    """For Adam. The paper draws it from 1e-4 … 1e-2, for RMSProp with shared statistics."""
    max_grad_norm: Positive = 40.0
    target_every_updates: Count = 40
    """40 × 256 env steps; the paper copied every 10,000 env steps (40,000 frames)."""
    exploration: Literal["annealed", "by-slot"] = "by-slot"


@dataclass(frozen=True)
class NStepQConfig(OneStepQConfig):
    """``q-nstep``: asynchronous n-step Q learning, from the same paper."""

    n_step: Count = 5
    """The paper's t_max on Atari: 5."""


class Transitions(NamedTuple):
    """Inputs of the graph, as arrays or tensors.

    Attributes:
        actions: ``[N]`` joint actions.
        numbers: ``[3, N]`` float32: n-step returns, discounts and importance weights. One array
            instead of three, since passing an array costs 10 µs.
        observations, next_observations: path → ``[N, *obs]``.
        next_valid: ``[N, n]`` bool, valid joint actions in ``next_observations``; an empty tuple
            without masks.
    """

    actions: Tensor
    numbers: Tensor
    observations: dict[str, Tensor]
    next_observations: dict[str, Tensor]
    next_valid: tuple[()] | tuple[Tensor]


class Dqn(QLearning[ValueConfig, TransitionSample, Transitions]):
    """``dqn`` and its presets: Q learning on transitions, with a feed-forward network."""

    Config: ClassVar[type[ValueConfig]] = DqnConfig

    def _given(self, sample: TransitionSample) -> Transitions:
        return Transitions(
            self._joint.index(sample.actions),
            np.stack([sample.returns, sample.discounts, sample.weights]),
            {path: sample.observations[path] for path in self._network.observations},
            {path: sample.next_observations[path] for path in self._network.observations},
            self._valid(sample.next_action_masks),
        )

    def _nothing(self) -> Transitions:
        rows = self._config.batch_size
        seen = {
            path: np.zeros((rows, *leaf.shape), leaf.dtype)
            for path, leaf in self._network.observations.items()
        }
        numbers = np.zeros((3, rows), np.float32)
        actions = np.zeros(rows, self._joint.dtype)
        return Transitions(actions, numbers, seen, seen, self._all_valid(rows))

    def _loss(self, given: Transitions) -> tuple[Tensor, list[Tensor], Tensor]:
        """``mean of w·loss(R + D·max_a Q_θ⁻(s', a) − Q_θ(s, a))``, a valid in s'."""
        import tensorflow as tf

        returns, discounts, weights = tf.unstack(given.numbers)
        q = taken(self._network.apply(given.observations)["q"], given.actions)
        after = given.next_observations
        target_q = self._network.apply(after, self.target)["q"]
        online_q = self._network.apply(after)["q"] if self._config.double else None
        values = state_values(target_q, online_q, *given.next_valid)
        targets = tf.stop_gradient(returns + discounts * values)
        errors = targets - q
        sizes = tf.abs(errors)
        losses = error_losses(errors, huber=self._config.huber)
        metrics = [tf.reduce_mean(x) for x in (q, targets, sizes)]
        return tf.reduce_mean(weights * losses), metrics, sizes


class DoubleDqn(Dqn):
    """``double-dqn``."""

    Config = DoubleDqnConfig


class RainbowLite(Dqn):
    """``rainbow-lite``."""

    Config = RainbowLiteConfig


class Apex(Dqn):
    """``apex``."""

    Config = ApexConfig


class OneStepQ(Dqn):
    """``q-1step``."""

    Config = OneStepQConfig


class NStepQ(Dqn):
    """``q-nstep``."""

    Config = NStepQConfig
