"""R2D2 (Kapturowski et al., 2019, openreview r1lyTjAqYX): Q learning on sequences from a replay,
with stored recurrent states, burn-in and value rescaling.

Deviations: the loss is the mean over the ticks trained on, not the sum over those of a sequence; a
sequence lies within one episode. A feed-forward network can be trained too: a control that shows
what the memory contributes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np

from tinyqueue.algorithms.q_targets import (
    error_losses,
    rescale,
    sequence_targets,
    state_values,
    taken,
    unscale,
)
from tinyqueue.algorithms.ranges import Count, CountOrNone, NotNegative, Positive, Share
from tinyqueue.algorithms.value import QLearning, ValueConfig
from tinyqueue.distributions import Tensor
from tinyqueue.models.tensors import Variable
from tinyqueue.replay.plan import ReplayPlan
from tinyqueue.replay.samples import SequenceSample


@dataclass(frozen=True)
class R2d2Config(ValueConfig):
    """``r2d2``: double, dueling, prioritised n-step learning on sequences, with a recurrent
    network. Defaults are for small tasks; the paper's are given beside them.

    A sequence begins at the first tick of a session batch, where the recurrent state was
    recorded: ``session.ticks`` is what the paper calls the period (40). Every tick is trained on
    if it is at most ``unroll``.
    """

    gamma: Share = 0.997
    """R2D2: 0.997."""
    n_step: Count = 5
    """R2D2: 5."""
    double: bool = True
    """R2D2 has it."""
    dueling: bool = True
    """R2D2 has it."""
    huber: bool = False
    """R2D2: ½δ²."""
    prioritised: bool = True
    """R2D2 has it."""
    priority_exponent: Share = 0.9
    """R2D2: 0.9."""
    importance: Share = 0.6
    """R2D2: 0.6."""
    batch_size: Count = 64
    """Sequences per update. R2D2: 64."""
    learning_rate: NotNegative = 1e-3
    """R2D2: 1e-4."""
    max_grad_norm: Positive = 40.0
    """Ape-X: 40."""
    target_every_updates: Count = 100
    """R2D2: 2,500."""
    exploration: Literal["annealed", "by-slot"] = "by-slot"
    """R2D2: a different ε for every actor."""
    burn_in: CountOrNone = 8
    """Ticks that only warm up the recurrent state. R2D2: 40, on Atari."""
    unroll: Count = 32
    """Ticks trained on after the burn-in. R2D2: 80."""
    max_priority_weight: Share = 0.9
    """η: a sequence's priority is η·max|δ| + (1 − η)·mean|δ|. R2D2: 0.9."""
    rescaled: bool = True
    """Learn h(Q), which is near √Q for large values, instead of clipping rewards."""


class Sequences(NamedTuple):
    """Inputs of the graph: fields of a :class:`SequenceSample`, by its names.

    Attributes:
        actions: ``[L, N]`` joint actions.
        valid: ``[U+1, N, n]`` bool, valid joint actions after the burn-in; an empty tuple without
            masks.
    """

    actions: Tensor
    rewards: Tensor
    terminated: Tensor
    mask: Tensor
    weights: Tensor
    starts: Tensor
    previous_actions: Tensor
    previous_rewards: Tensor
    observations: dict[str, Tensor]
    state: dict[str, Tensor]
    valid: tuple[()] | tuple[Tensor]


class R2d2(QLearning[R2d2Config, SequenceSample, Sequences]):
    """``r2d2``: Q learning on sequences, with a recurrent network (or none, as a control)."""

    Config = R2d2Config
    needs_memory = True

    @property
    def replay(self) -> ReplayPlan:
        """Sequences of ``burn_in + unroll`` ticks, with the recurrent state at their start."""
        config = self._config
        return replace(
            super().replay,
            burn_in=config.burn_in,
            unroll=config.unroll,
            max_priority_weight=config.max_priority_weight,
            rescaled=config.rescaled,
        )

    def _given(self, sample: SequenceSample) -> Sequences:
        masks = sample.action_masks
        return Sequences(
            self._joint.index(sample.actions),
            sample.rewards,
            sample.terminated,
            sample.mask,
            sample.weights,
            sample.starts,
            sample.previous_actions,
            sample.previous_rewards,
            {path: sample.observations[path] for path in self._network.observations},
            {path: sample.state[path] for path in self._network.state},
            self._valid(None if masks is None else masks[self._config.burn_in :]),
        )

    def _nothing(self) -> Sequences:
        config, network = self._config, self._network
        action = self._actions[self._joint.path]
        rows = config.batch_size
        ticks = (config.burn_in + config.unroll, rows)
        seen = (ticks[0] + 1, rows)
        return Sequences(
            np.zeros(ticks, self._joint.dtype),
            np.zeros(ticks, np.float32),
            np.zeros(ticks, bool),
            np.zeros(ticks, bool),
            np.zeros(rows, np.float32),
            np.zeros(seen, bool),
            np.zeros((*seen, *action.shape), action.dtype),
            np.zeros(seen, np.float32),
            {p: np.zeros((*seen, *x.shape), x.dtype) for p, x in network.observations.items()},
            {p: np.zeros((rows, *shape), np.float32) for p, shape in network.state.items()},
            self._all_valid(config.unroll + 1, rows),
        )

    def _loss(self, given: Sequences) -> tuple[Tensor, list[Tensor], Tensor]:
        """``mean of w·½δ²`` over the ticks after the burn-in, δ = h(n-step target) − Q."""
        import tensorflow as tf

        config = self._config
        actions, rewards, terminated, mask = (
            x[config.burn_in :]
            for x in (given.actions, given.rewards, given.terminated, given.mask)
        )
        online_q = self._q(given, None)
        target_q = self._q(given, self.target)
        values = state_values(target_q, online_q if config.double else None, *given.valid)
        targets = sequence_targets(
            rewards=rewards,
            terminated=terminated,
            mask=mask,
            values=unscale(values) if config.rescaled else values,
            n_step=config.n_step,
            gamma=config.gamma,
        )
        targets = tf.stop_gradient(rescale(targets) if config.rescaled else targets)
        q = taken(online_q[:-1], actions)
        is_trained = tf.cast(mask, tf.float32)
        count = tf.maximum(tf.reduce_sum(is_trained), 1.0)
        errors = (targets - q) * is_trained
        losses = given.weights * error_losses(errors, huber=config.huber)
        metrics = [tf.reduce_sum(x * is_trained) / count for x in (q, targets, tf.abs(errors))]
        return tf.reduce_sum(losses) / count, metrics, self._priorities(errors, is_trained)

    def _q(self, given: Sequences, variables: Mapping[str, Variable] | None) -> Tensor:
        """``[U+1, N, n]``: Q after the burn-in, through which no gradient flows."""
        import tensorflow as tf

        def unroll(part: slice, before: dict[str, Tensor]) -> tuple[dict[str, Tensor], ...]:
            return self._network.unroll(
                {path: x[part] for path, x in given.observations.items()},
                before,
                given.starts[part],
                {self._joint.path: given.previous_actions[part]},
                given.previous_rewards[part],
                variables,
            )

        burn_in, state = self._config.burn_in, given.state
        if burn_in and state:
            _, state = unroll(slice(burn_in), state)
            state = {path: tf.stop_gradient(x) for path, x in state.items()}
        outputs, _ = unroll(slice(burn_in, None), state)
        return outputs["q"]

    def _priorities(self, errors: Tensor, is_trained: Tensor) -> Tensor:
        """``[N]`` η·max|δ| + (1 − η)·mean|δ| over the ticks trained on."""
        import tensorflow as tf

        sizes = tf.abs(errors)
        weight = self._config.max_priority_weight
        ticks = tf.maximum(tf.reduce_sum(is_trained, axis=0), 1.0)
        mean = tf.reduce_sum(sizes, axis=0) / ticks
        return weight * tf.reduce_max(sizes, axis=0) + (1.0 - weight) * mean
