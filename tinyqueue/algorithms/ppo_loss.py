"""The loss of PPO over one minibatch, inside a graph."""

from __future__ import annotations

import math
from typing import Any

from tinyqueue.algorithms.ppo_config import PpoConfig
from tinyqueue.algorithms.stream_loss import (
    count_of,
    explained_variance,
    log_probabilities,
    normalised,
    summed_entropy,
)
from tinyqueue.monitor.metrics import Metric

METRICS = (
    Metric.LOSS,
    Metric.GRAD_NORM,
    Metric.POLICY_LOSS,
    Metric.VALUE_LOSS,
    Metric.ENTROPY,
    Metric.MEAN_RHO,
    Metric.CLIP_FRACTION,
    Metric.APPROX_KL,
    Metric.EXPLAINED_VARIANCE,
)
"""What an update reports, in this order: means over its minibatches."""


def ppo_loss(
    config: PpoConfig,
    clip: Any,
    network: tuple[Any, Any],
    *,
    actions: Any,
    log_mu: Any,
    valid: Any,
    advantages: Any,
    targets: Any,
    old_values: Any,
) -> tuple[Any, list[Any]]:
    """``mean of −min(ρA, cut(ρ)A) + c_v·½(v − V)² − c_e·H(π)`` over valid ticks, ρ = π/μ.

    Args:
        config: Weights and cuts.
        clip: ε, a scalar: cut(ρ) is in 1 ± ε.
        network: Logits ``[T, B, n]`` and values ``[T, B]``.
        actions: ``[T, B]`` int32.
        log_mu: ``[T, B]`` log μ(a|x) as the player recorded it.
        valid: ``[T, B]`` bool.
        advantages: ``[T, B]``, 0 on invalid ticks.
        targets: ``[T, B]`` v.
        old_values: ``[T, B]`` V before the update.

    Returns:
        The loss, and the rest of :data:`METRICS` after the gradient norm.
    """
    import tensorflow as tf

    logits, values = network
    is_valid = tf.cast(valid, tf.float32)
    count = count_of(is_valid)
    if config.normalise_advantages:
        advantages = normalised(advantages, is_valid, count)
    most = math.log(config.max_ratio)
    log_rhos = tf.clip_by_value(log_probabilities(logits, actions) - log_mu, -most, most)
    rhos = tf.exp(log_rhos)
    gains = tf.minimum(
        rhos * advantages, tf.clip_by_value(rhos, 1.0 - clip, 1.0 + clip) * advantages
    )
    policy_loss = -tf.reduce_sum(gains) / count
    errors = (targets - values) * is_valid
    squares = tf.square(errors)
    if config.value_clip is not None:
        moved = tf.clip_by_value(values - old_values, -config.value_clip, config.value_clip)
        squares = tf.maximum(squares, tf.square(targets - old_values - moved) * is_valid)
    value_loss = 0.5 * tf.reduce_sum(squares) / count
    entropy = summed_entropy(logits, is_valid) / count
    loss = policy_loss + config.value_weight * value_loss - config.entropy_weight * entropy
    is_cut = tf.cast(tf.abs(rhos - 1.0) > clip, tf.float32) * is_valid
    # Schulman's estimator, never below 0: http://joschu.net/blog/kl-approx.html
    distances = (rhos - 1.0 - log_rhos) * is_valid
    return loss, [
        policy_loss,
        value_loss,
        entropy,
        tf.reduce_sum(rhos * is_valid) / count,
        tf.reduce_sum(is_cut) / count,
        tf.reduce_sum(distances) / count,
        explained_variance(targets, errors, is_valid, count),
    ]
