"""The loss of IMPALA and A3C over one batch, inside a graph."""

from __future__ import annotations

from typing import Any

from tinyqueue.algorithms.impala_config import ActorCriticConfig, ImpalaConfig
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
    log_policy = tf.nn.log_softmax(logits)
    log_pi = -tf.nn.sparse_softmax_cross_entropy_with_logits(actions, logits)
    is_valid = tf.cast(valid, tf.float32)
    count = tf.maximum(tf.reduce_sum(is_valid), 1.0)
    trace = _targets(config, log_pi - log_mu, _rewards(config, rewards), values, terminated, valid)
    advantages = trace.advantages
    if config.normalise_advantages:
        mean = tf.reduce_sum(advantages) / count
        spread = tf.reduce_sum(tf.square(advantages - mean) * is_valid) / count
        advantages = (advantages - mean) * is_valid / (tf.sqrt(spread) + 1e-8)
    share = 1.0 / count if config.loss_reduction == "mean" else 1.0
    errors = (trace.targets - values[:-1]) * is_valid
    policy_loss = -share * tf.reduce_sum(log_pi * advantages)
    value_loss = share * 0.5 * tf.reduce_sum(tf.square(errors))
    entropies = -tf.reduce_sum(tf.exp(log_policy) * log_policy, axis=-1) * is_valid
    entropy = tf.reduce_sum(entropies)
    loss = policy_loss + config.value_weight * value_loss - config.entropy_weight * share * entropy
    rhos = tf.exp(tf.stop_gradient(log_pi) - log_mu) * is_valid
    return loss, [
        policy_loss,
        value_loss,
        entropy / count,
        tf.reduce_sum(rhos) / count,
        _explained(trace.targets, errors, is_valid, count),
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


def _rewards(config: ActorCriticConfig, rewards: Any) -> Any:
    import tensorflow as tf

    if config.reward_clip is not None:
        rewards = tf.clip_by_value(rewards, -config.reward_clip, config.reward_clip)
    return rewards * config.reward_scale


def _explained(targets: Any, errors: Any, is_valid: Any, count: Any) -> Any:
    """1 − Var(v − V)/Var(v) over valid ticks; 0 where v does not vary."""
    import tensorflow as tf

    def variance(x: Any) -> Any:
        mean = tf.reduce_sum(x * is_valid) / count
        return tf.reduce_sum(tf.square(x - mean) * is_valid) / count

    total = variance(targets)
    return tf.where(total > 1e-12, 1.0 - variance(errors) / tf.maximum(total, 1e-12), 0.0)
