"""Advantage actor-critic (Mnih et al., 2016, arXiv:1602.01783), an algorithm in one file.

    tinyqueue train CartPole-v1 --set algorithm.name=examples/a2c.py:A2c

Deviations: Adam and normalised advantages are the defaults of ``StreamConfig``; nothing corrects
for the lag of the players, so keep few batches waiting (``learner.queue_batches``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tinyqueue.algorithms.base import Update
from tinyqueue.algorithms.descent import sound_update
from tinyqueue.algorithms.ranges import NotNegative
from tinyqueue.algorithms.returns import suffix_sum
from tinyqueue.algorithms.stream import StreamActorCritic, StreamConfig, ValidTicks, shaped_rewards
from tinyqueue.algorithms.trajectories import Trajectories
from tinyqueue.data.session import SessionBatch
from tinyqueue.distributions import Tensor
from tinyqueue.monitor.metrics import Metric


@dataclass(frozen=True)
class A2cConfig(StreamConfig):
    """``A2c``: what algorithms on the stream have, with these defaults instead."""

    learning_rate: NotNegative = 7e-4
    """Step size of the optimiser. Stable-Baselines3's for A2C."""


METRICS = (Metric.LOSS, Metric.GRAD_NORM, Metric.POLICY_LOSS, Metric.VALUE_LOSS, Metric.ENTROPY)
"""What an update reports, in this order."""


def returns_to_the_end(
    rewards: Tensor,
    values: Tensor,
    terminated: Tensor,
    valid: Tensor,
    gamma: float,
    lambda_: float = 1.0,
) -> Tensor:
    """``[T, B]`` R_t = r_t + γ_t ((1 − λ) V(x_{t+1}) + λ R_{t+1}), R_T = V(x_T).

    γ_t is 0 where the episode terminated. An invalid tick holds the final observation of an
    episode, and its R is V(x_t): so an episode that was cut off is bootstrapped.

    Args:
        rewards: ``[T, B]``.
        values: ``[T+1, B]`` V(x_t).
        terminated, valid: ``[T, B]`` bool.
        gamma, lambda_: Discount per env step; λ, 1 for plain n-step returns.
    """
    import tensorflow as tf

    is_valid = tf.cast(valid, tf.float32)
    discounts = gamma * (1.0 - tf.cast(terminated, tf.float32)) * is_valid
    errors = (rewards - values[:-1]) * is_valid + discounts * values[1:]
    return values[:-1] + suffix_sum(errors, lambda_ * discounts)


class A2c(StreamActorCritic[A2cConfig]):
    """A policy and its value, trained on every session batch once, as if they had played it."""

    Config = A2cConfig

    def update(self, batches: Sequence[SessionBatch], env_steps: int) -> Update:
        """One step of the optimiser on batches of the same T."""
        return sound_update(
            dict(zip(METRICS, self._run(batches, env_steps), strict=True)),
            self._learning_rate(env_steps),
            f"the update at {env_steps:,} env steps",
        )

    def _learn(self, settings: tuple[Tensor, ...], batch: Trajectories[Tensor]) -> Tensor:
        import tensorflow as tf
        from keras import ops

        config, ticks = self._config, ValidTicks(batch.valid)
        rewards = shaped_rewards(config, batch.rewards)
        with tf.GradientTape() as tape:
            outputs, values = self._unroll(batch)
            fixed = tf.stop_gradient(values)
            targets = returns_to_the_end(
                rewards, fixed, batch.terminated, batch.valid, config.gamma, config.lambda_
            )
            advantages = targets - fixed[:-1]
            if config.normalise_advantages:
                advantages = ticks.normalised(advantages)
            log_pi = self._policy.log_prob(ops, outputs, batch.actions)
            policy_loss = -ticks.mean(log_pi * advantages)
            value_loss = 0.5 * ticks.mean(tf.square(targets - values[:-1]))
            entropy = ticks.mean(self._policy.entropy(ops, outputs))
            loss = policy_loss + config.value_weight * value_loss - config.entropy_weight * entropy
        (rate,) = settings
        norm = self._descent.step(tape, loss, rate)
        return tf.stack([loss, norm, policy_loss, value_loss, entropy])
