"""The loss of IMPALA and A3C over one batch, inside a graph."""

from __future__ import annotations

from typing import Any

from tinyqueue.algorithms.impala_config import ActorCriticConfig, ImpalaConfig
from tinyqueue.algorithms.stream_loss import (
    count_of,
    explained_variance,
    normalised,
    shaped_rewards,
    summed_entropy,
)
from tinyqueue.algorithms.vtrace import VTrace, vtrace
from tinyqueue.monitor.metrics import Metric

METRICS = (
    Metric.LOSS,
    Metric.GRAD_NORM,
    Metric.POLICY_LOSS,
    Metric.VALUE_LOSS,
    Metric.ENTROPY,
    Metric.MEAN_RHO,
    Metric.EXPLAINED_VARIANCE,
)
"""What an update reports, in this order."""


def loss_and_metrics(
    config: ActorCriticConfig,
    network: tuple[Any, Any],
    *,
    actions: Any,
    log_mu: Any,
    rewards: Any,
    terminated: Any,
    valid: Any,
) -> tuple[Any, list[Any]]:
    """``Σ −log π(a|x)·A + c_v·½Σ(v − V)² − c_e·Σ H(π)`` over valid ticks, or the mean of it.

    Args:
        config: Weights and clips.
        network: Logits ``[T+1, B, n]`` and values ``[T+1, B]``.
        actions: ``[T, B]`` int32.
        log_mu: ``[T, B]`` log μ(a|x) as the player recorded it.
        rewards: ``[T, B]`` as the environment gave them.
        terminated, valid: ``[T, B]`` bool.

    Returns:
        The loss, and the rest of :data:`METRICS` after the gradient norm.
    """
    import tensorflow as tf

    logits, values = network
    logits = logits[:-1]
    log_pi = -tf.nn.sparse_softmax_cross_entropy_with_logits(actions, logits)
    is_valid = tf.cast(valid, tf.float32)
    count = count_of(is_valid)
    rewards = shaped_rewards(config, rewards)
    trace = _targets(config, log_pi - log_mu, rewards, values, terminated, valid)
    advantages = trace.advantages
    if config.normalise_advantages:
        advantages = normalised(advantages, is_valid, count)
    share = 1.0 / count if config.loss_reduction == "mean" else 1.0
    errors = (trace.targets - values[:-1]) * is_valid
    policy_loss = -share * tf.reduce_sum(log_pi * advantages)
    value_loss = share * 0.5 * tf.reduce_sum(tf.square(errors))
    entropy = summed_entropy(logits, is_valid)
    loss = policy_loss + config.value_weight * value_loss - config.entropy_weight * share * entropy
    rhos = tf.exp(tf.stop_gradient(log_pi) - log_mu) * is_valid
    return loss, [
        policy_loss,
        value_loss,
        entropy / count,
        tf.reduce_sum(rhos) / count,
        explained_variance(trace.targets, errors, is_valid, count),
    ]


def _targets(
    config: ActorCriticConfig,
    log_rhos: Any,
    rewards: Any,
    values: Any,
    terminated: Any,
    valid: Any,
) -> VTrace:
    """V-trace; without a correction every ratio is 1, and v_t is the n-step return."""
    import tensorflow as tf

    corrected = isinstance(config, ImpalaConfig)
    return vtrace(
        log_rhos=log_rhos if corrected else tf.zeros_like(log_rhos),
        rewards=rewards,
        values=values,
        terminated=terminated,
        valid=valid,
        gamma=config.gamma,
        rho_clip=config.rho_clip if isinstance(config, ImpalaConfig) else 1.0,
        c_clip=config.c_clip if isinstance(config, ImpalaConfig) else 1.0,
        pg_rho_clip=config.pg_rho_clip if isinstance(config, ImpalaConfig) else 1.0,
        lambda_=config.lambda_,
    )
