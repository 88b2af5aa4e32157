"""IMPALA (Espeholt et al., 2018, arXiv:1802.01561), and A3C (Mnih et al., 2016, arXiv:1602.01783).

Deviations: advantages may be normalised over the batch; the loss may be a mean. ``a3c`` is the
same without the importance correction: comparing the two shows what V-trace buys.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tinyqueue.algorithms.base import Update
from tinyqueue.algorithms.descent import sound_update
from tinyqueue.algorithms.ranges import Positive
from tinyqueue.algorithms.returns import vtrace
from tinyqueue.algorithms.stream import StreamActorCritic, StreamConfig, ValidTicks, shaped_rewards
from tinyqueue.algorithms.trajectories import Trajectories
from tinyqueue.data.session import SessionBatch
from tinyqueue.distributions import Factored, Tensor
from tinyqueue.errors import ConfigError
from tinyqueue.monitor.metrics import Metric


@dataclass(frozen=True)
class ImpalaConfig(StreamConfig):
    """``impala``. Defaults are for small tasks with vector observations.

    With these and T 32 × B 32, CartPole-v1 was solved (mean of 100 greedy evaluation episodes
    ≥ 475) after 0.76 to 0.84 million env steps on three of three seeds at a lag of 3 updates; at a
    lag of 8, on two of four within 0.8 million. The papers' Atari settings are given beside them.
    """

    loss_reduction: Literal["mean", "sum"] = "mean"
    """Over ticks. IMPALA sums, and its learning rate and ε are meant for sums; Acme uses means."""
    correction: Literal["vtrace", "none"] = "vtrace"
    """For the policy lag. ``none`` sets every importance ratio to 1: n-step returns, as in A3C."""
    rho_clip: Positive = 1.0
    """ρ̄, clip of the importance ratio in δ: whose value function is learned. IMPALA: 1."""
    c_clip: Positive = 1.0
    """c̄, clip of the ratio in the trace: how far corrections reach. IMPALA: 1."""
    pg_rho_clip: Positive = 1.0
    """ρ̄_pg, clip of the ratio in the policy gradient. scalable_agent: 1."""


@dataclass(frozen=True)
class A3cConfig(ImpalaConfig):
    """``a3c``: n-step returns without a correction for the policy lag."""

    correction: Literal["vtrace", "none"] = "none"


METRICS = (
    Metric.LOSS,
    Metric.GRAD_NORM,
    Metric.POLICY_LOSS,
    Metric.VALUE_LOSS,
    Metric.ENTROPY,
    Metric.MEAN_RHO,
    Metric.EXPLAINED_VARIANCE,
)
"""Metrics of an update, in this order."""


def impala_loss(
    config: ImpalaConfig,
    policy: Factored,
    outputs: Mapping[str, Tensor],
    values: Tensor,
    batch: Trajectories[Tensor],
) -> tuple[Tensor, list[Tensor]]:
    """``Σ −log π(a|x)·A + c_v·½Σ(v − V)² − c_e·Σ H(π)`` over valid ticks, or its mean.

    Args:
        config: Weights and clips.
        policy: Distribution of actions, given the outputs.
        outputs: ``[T, B, …]`` by name.
        values: ``[T+1, B]``.
        batch: What was played.

    Returns:
        The loss, and the :data:`METRICS` that follow the gradient norm.
    """
    import tensorflow as tf
    from keras import ops

    ticks = ValidTicks(batch.valid)
    log_pi = policy.log_prob(ops, outputs, batch.actions)
    log_rhos = log_pi - batch.log_mu
    targets, advantages = vtrace(
        log_rhos=log_rhos if config.correction == "vtrace" else tf.zeros_like(log_rhos),
        rewards=shaped_rewards(config, batch.rewards),
        values=values,
        terminated=batch.terminated,
        valid=batch.valid,
        gamma=config.gamma,
        lambda_=config.lambda_,
        rho_clip=config.rho_clip,
        c_clip=config.c_clip,
        pg_rho_clip=config.pg_rho_clip,
    )
    if config.normalise_advantages:
        advantages = ticks.normalised(advantages)
    share = 1.0 / ticks.count if config.loss_reduction == "mean" else 1.0
    errors = (targets - values[:-1]) * ticks.mask
    policy_loss = -share * tf.reduce_sum(log_pi * advantages)
    value_loss = share * 0.5 * tf.reduce_sum(tf.square(errors))
    entropy = ticks.total(policy.entropy(ops, outputs))
    loss = policy_loss + config.value_weight * value_loss - config.entropy_weight * share * entropy
    return loss, [
        policy_loss,
        value_loss,
        entropy / ticks.count,
        ticks.mean(tf.exp(log_rhos)),
        ticks.explained_variance(targets, errors),
    ]


class Impala(StreamActorCritic[ImpalaConfig]):
    """``impala``: a policy and its value, trained once on every batch."""

    Config = ImpalaConfig

    @classmethod
    def check(cls, config: ImpalaConfig, ticks: int, slots: int) -> None:
        """Rejects clips of importance ratios that are always 1."""
        for name in ("rho_clip", "c_clip", "pg_rho_clip"):
            if config.correction == "none" and getattr(config, name) != 1.0:
                raise ConfigError(
                    f"algorithm.{name} has no effect: without a correction every importance ratio "
                    f"is 1. Leave it out, or set algorithm.correction = 'vtrace'."
                )

    def update(self, batches: Sequence[SessionBatch], env_steps: int) -> Update:
        """One optimiser step on all batches together."""
        return sound_update(
            dict(zip(METRICS, self._run(batches, env_steps), strict=True)),
            self._learning_rate(env_steps),
            f"the update at {env_steps:,} env steps",
        )

    def _learn(self, settings: tuple[Tensor, ...], batch: Trajectories[Tensor]) -> Tensor:
        import tensorflow as tf

        (rate,) = settings
        with tf.GradientTape() as tape:
            outputs, values = self._unroll(batch)
            loss, metrics = impala_loss(self._config, self._policy, outputs, values, batch)
        norm = self._descent.step(tape, loss, rate)
        return tf.stack([loss, norm, *metrics])


class A3c(Impala):
    """``a3c``."""

    Config = A3cConfig
