"""PPO (Schulman et al., 2017, arXiv:1707.06347) on the stream of session batches.

Deviations: π_old is the policy that played, by the player's own log-probabilities, so a batch that
comes late begins with ratios other than 1; values before the update are those of the learner's
weights, not of the player's; ratios are cut to 1/20 … 20 beforehand, as in Sample Factory.
Minibatches are whole slots, not single ticks: a recurrent state runs through them, and an
episode's end stays beside its final observation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinyqueue.algorithms.base import Update
from tinyqueue.algorithms.gae import Gae, gae
from tinyqueue.algorithms.ppo_config import PpoConfig
from tinyqueue.algorithms.ppo_loss import METRICS, ppo_loss
from tinyqueue.algorithms.steps import schedule, sound_update
from tinyqueue.algorithms.stream_actor_critic import StreamActorCritic
from tinyqueue.algorithms.stream_loss import log_probabilities, shaped_rewards
from tinyqueue.data.session import SessionBatch
from tinyqueue.data.spaces import Array, Space
from tinyqueue.errors import ConfigError
from tinyqueue.models.network import Network


class Ppo(StreamActorCritic):
    """One network with outputs ``logits`` and ``value``, trained on every batch several times.

    Args:
        config: Of ``ppo``.
        network: With the outputs ``logits`` and ``value``.
        actions: One discrete leaf.
    """

    def __init__(self, config: PpoConfig, network: Network, actions: Space) -> None:
        super().__init__(config, network, actions)
        self._config = config
        end = config.clip if config.clip_end is None else config.clip_end
        self._clip = schedule(config.clip, end, config.anneal_steps)

    def update(self, batches: Sequence[SessionBatch], env_steps: int) -> Update:
        """All epochs over the batches, in one graph.

        Raises:
            LossNotFiniteError: The steps before the one that failed are in the weights; that one
                and those after it are not.
            ConfigError: The minibatches do not divide the slots.
        """
        arrays = self._arrays(batches)
        *numbers, steps = self._run(self._settings(arrays[0].shape[1], env_steps), arrays)
        of = self._config.epochs * self._config.minibatches
        return sound_update(
            dict(zip(METRICS, numbers, strict=True)),
            self._learning_rate(env_steps),
            f"step {steps:.0f} of {of} of the update at {env_steps:,} env steps",
        )

    def _settings(self, slots: int, env_steps: int) -> list[Array]:
        config = self._config
        order = minibatches_of(slots, config.epochs, config.minibatches, env_steps)
        rates = (self._learning_rate(env_steps), self._clip(env_steps))
        return [*(np.asarray(rate, np.float32) for rate in rates), order]

    def _learn(self, settings: Sequence[Any], given: Sequence[Any]) -> Any:
        """Means of METRICS, and how many steps were made; those of the step alone that failed."""
        import tensorflow as tf

        rate, clip, order = settings
        advice, old_values = self._advice(given)
        columns = [*given, *advice, old_values]

        def step(index: Any, sums: Any, _: Any) -> tuple[Any, Any, Any]:
            part = [tf.gather(column, order[index], axis=1) for column in columns]
            loss, norm, metrics = self._step(rate, clip, part)
            numbers = tf.stack([loss, norm, *metrics])
            is_sound = tf.math.is_finite(loss + norm)
            return index + 1, tf.where(is_sound, sums + numbers, numbers), is_sound

        steps, sums, is_sound = tf.while_loop(
            lambda index, _, is_sound: is_sound & (index < order.shape[0]),
            step,
            (tf.constant(0), tf.zeros(len(METRICS)), tf.constant(True)),
            parallel_iterations=1,
        )
        made = tf.cast(steps, tf.float32)
        return tf.concat([sums / tf.where(is_sound, made, 1.0), made[None]], axis=0)

    def _advice(self, given: Sequence[Any]) -> tuple[Gae, Any]:
        """Targets and advantages, and the values that they come from: of the weights before the
        first step, and kept through all of them. ``[T, B]`` each.
        """
        import tensorflow as tf

        actions, log_mu, rewards, terminated, valid, *seen = given
        logits, values = self._seen(seen, actions, rewards, valid)
        log_rhos = tf.zeros_like(log_mu)
        if self._config.advantages == "vtrace":
            log_rhos = log_probabilities(logits[:-1], tf.cast(actions, tf.int32)) - log_mu
        advice = gae(
            log_rhos=log_rhos,
            rewards=shaped_rewards(self._config, rewards),
            values=values,
            terminated=terminated,
            valid=valid,
            gamma=self._config.gamma,
            lambda_=self._config.lambda_,
        )
        return advice, values[:-1]

    def _step(self, rate: Any, clip: Any, part: Sequence[Any]) -> tuple[Any, Any, list[Any]]:
        """One optimiser step on a minibatch: loss, gradient norm, and the other METRICS."""
        import tensorflow as tf

        actions, log_mu, rewards, _, valid, *seen, targets, advantages, old_values = part
        with tf.GradientTape() as tape:
            logits, values = self._seen(seen, actions, rewards, valid)
            loss, metrics = ppo_loss(
                self._config,
                clip,
                (logits[:-1], values[:-1]),
                actions=tf.cast(actions, tf.int32),
                log_mu=log_mu,
                valid=valid,
                advantages=advantages,
                targets=targets,
                old_values=old_values,
            )
        return loss, self._descend(tape, loss, rate), metrics


def minibatches_of(slots: int, epochs: int, minibatches: int, env_steps: int) -> Array:
    """Which slots each step takes, ``[epochs · minibatches, slots / minibatches]`` int32: every
    epoch all of them, in an order of its own.

    Args:
        env_steps: The clock, which the orders are drawn from: a restored run draws the same.

    Raises:
        ConfigError: The minibatches do not divide the slots.
    """
    require_divisor(slots, minibatches)
    rng = np.random.default_rng(env_steps)
    orders = np.stack([rng.permutation(slots) for _ in range(epochs)])
    return orders.reshape(epochs * minibatches, -1).astype(np.int32)


def require_divisor(slots: int, minibatches: int) -> None:
    """Raises ConfigError when minibatches of whole slots do not come out even."""
    if slots % minibatches:
        raise ConfigError(
            f"algorithm.minibatches = {minibatches} does not divide the {slots} slots of an update "
            "(session.slots × learner.batches_per_update), and a minibatch takes whole slots. "
            "Choose a divisor."
        )
