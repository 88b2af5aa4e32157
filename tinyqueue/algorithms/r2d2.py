"""R2D2 (Kapturowski et al., 2019, openreview r1lyTjAqYX): Q learning on sequences from a replay,
with stored recurrent states, burn-in and value rescaling.

Deviations: the loss is the mean over the ticks trained on, not the sum over a sequence's; a
sequence lies within one episode. A feed-forward network may be trained as well: the control that
shows what the memory is good for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tinyqueue.algorithms.base import Update
from tinyqueue.algorithms.dqn import Dqn, exploration, transition_plan
from tinyqueue.algorithms.q_targets import (
    error_losses,
    rescale,
    sequence_targets,
    state_values,
    taken,
    unscale,
)
from tinyqueue.algorithms.r2d2_config import R2d2Config
from tinyqueue.algorithms.value_training import ValueTraining
from tinyqueue.data.spaces import Arrays, Space
from tinyqueue.models.network import Network
from tinyqueue.policy.heads import single_discrete
from tinyqueue.replay.plan import ReplayPlan
from tinyqueue.replay.samples import SequenceSample


class R2d2:
    """One network with the output ``q``, trained on sequences sampled from a replay.

    Args:
        config: Of ``r2d2``.
        network: ``{"q": [T, N, n]}`` when unrolled; recurrent, unless as a control.
        actions: One discrete leaf.
    """

    head = "epsilon-greedy"
    acting_outputs = ("q",)
    outputs = staticmethod(Dqn.outputs)

    def __init__(self, config: R2d2Config, network: Network, actions: Space) -> None:
        self._config = config
        self._network = network
        self._action_dtype = single_discrete(actions).dtype
        (self._action_path,) = actions
        self._paths = list(network.observations)
        self._training = ValueTraining(config, network, self._loss)

    @property
    def replay(self) -> ReplayPlan:
        config = self._config
        return replace(
            transition_plan(config),
            burn_in=config.burn_in,
            unroll=config.unroll,
            max_priority_weight=config.max_priority_weight,
            rescaled=config.rescaled,
        )

    @property
    def head_config(self) -> Mapping[str, Any]:
        return exploration(self._config)

    def update(self, sample: SequenceSample, env_steps: int) -> Update:
        update = self._training.update(
            [
                sample.actions,
                sample.rewards,
                sample.terminated,
                sample.mask,
                sample.weights,
                sample.starts,
                sample.previous_actions,
                sample.previous_rewards,
                *(sample.observations[path] for path in self._paths),
                *(sample.state[path] for path in self._network.state),
            ],
            env_steps,
        )
        return update if self._config.prioritised else Update(update.metrics)

    def prepare(self, ticks: int, slots: int) -> None:
        config = self._config
        rows = config.batch_size
        played = (config.burn_in + config.unroll, rows)
        seen = (played[0] + 1, rows)
        observations = self._network.observations.values()
        self._training.prepare(
            [
                np.zeros(played, self._action_dtype),
                np.zeros(played, np.float32),
                np.zeros(played, bool),
                np.zeros(played, bool),
                np.zeros(rows, np.float32),
                np.zeros(seen, bool),
                np.zeros(seen, self._action_dtype),
                np.zeros(seen, np.float32),
                *(np.zeros((*seen, *leaf.shape), leaf.dtype) for leaf in observations),
                *(np.zeros((rows, *shape), np.float32) for shape in self._network.state.values()),
            ]
        )

    def state(self) -> Arrays:
        return self._training.state()

    def restore(self, state: Arrays) -> None:
        self._training.restore(state)

    def _loss(self, given: Sequence[Any]) -> tuple[Any, list[Any], Any]:
        import tensorflow as tf

        config = self._config
        actions, rewards, terminated, mask, weights, *rows = given
        actions, rewards, terminated, mask = (
            x[config.burn_in :] for x in (actions, rewards, terminated, mask)
        )
        online_q = self._q(rows, None)
        values = state_values(
            self._q(rows, self._training.target), online_q if config.double else None
        )
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
        losses = weights * error_losses(errors, huber=config.huber)
        metrics = [tf.reduce_sum(x * is_trained) / count for x in (q, targets, tf.abs(errors))]
        return tf.reduce_sum(losses) / count, metrics, self._priorities(errors, is_trained)

    def _q(self, rows: Sequence[Any], variables: Mapping[str, Any] | None) -> Any:
        """``[U+1, N, n]``: Q after the burn-in, through which no gradient flows."""
        import tensorflow as tf

        starts, previous_actions, previous_rewards, *rest = rows
        count = len(self._paths)
        observations = dict(zip(self._paths, rest[:count], strict=True))
        state = dict(zip(self._network.state, rest[count:], strict=True))

        def unroll(part: slice, before: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
            return self._network.unroll(
                {path: x[part] for path, x in observations.items()},
                before,
                starts[part],
                {self._action_path: previous_actions[part]},
                previous_rewards[part],
                variables,
            )

        burn_in = self._config.burn_in
        if burn_in and state:
            _, state = unroll(slice(burn_in), state)
            state = {path: tf.stop_gradient(x) for path, x in state.items()}
        outputs, _ = unroll(slice(burn_in, None), state)
        return outputs["q"]

    def _priorities(self, errors: Any, is_trained: Any) -> Any:
        """``[N]`` η·max|δ| + (1 − η)·mean|δ| over the ticks trained on."""
        import tensorflow as tf

        sizes = tf.abs(errors)
        weight = self._config.max_priority_weight
        ticks = tf.maximum(tf.reduce_sum(is_trained, axis=0), 1.0)
        mean = tf.reduce_sum(sizes, axis=0) / ticks
        return weight * tf.reduce_max(sizes, axis=0) + (1.0 - weight) * mean
