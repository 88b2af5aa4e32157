"""Terms of the losses on the stream, inside a graph. All but the first are over valid ticks."""

from __future__ import annotations

from typing import Any

from tinyqueue.algorithms.stream_config import StreamConfig


def shaped_rewards(config: StreamConfig, rewards: Any) -> Any:
    """Rewards as the loss sees them: clipped, then scaled."""
    import tensorflow as tf

    if config.reward_clip is not None:
        rewards = tf.clip_by_value(rewards, -config.reward_clip, config.reward_clip)
    return rewards * config.reward_scale


def count_of(is_valid: Any) -> Any:
    """How many ticks are valid; 1 when none is, so that it can divide.

    Args:
        is_valid: ``[T, B]`` float32, 1 or 0; here and below.
    """
    import tensorflow as tf

    return tf.maximum(tf.reduce_sum(is_valid), 1.0)


def normalised(advantages: Any, is_valid: Any, count: Any) -> Any:
    """Advantages with mean 0 and deviation 1.

    Args:
        advantages: ``[T, B]``, 0 on invalid ticks.
    """
    import tensorflow as tf

    mean = tf.reduce_sum(advantages) / count
    spread = tf.reduce_sum(tf.square(advantages - mean) * is_valid) / count
    return (advantages - mean) * is_valid / (tf.sqrt(spread) + 1e-8)


def summed_entropy(logits: Any, is_valid: Any) -> Any:
    """Σ H(π), nats.

    Args:
        logits: ``[T, B, n]``.
    """
    import tensorflow as tf

    log_policy = tf.nn.log_softmax(logits)
    return tf.reduce_sum(-tf.reduce_sum(tf.exp(log_policy) * log_policy, axis=-1) * is_valid)


def explained_variance(targets: Any, errors: Any, is_valid: Any, count: Any) -> Any:
    """1 − Var(v − V)/Var(v); 0 where v does not vary.

    Args:
        targets: ``[T, B]`` v.
        errors: ``[T, B]`` v − V.
    """
    import tensorflow as tf

    def variance(x: Any) -> Any:
        mean = tf.reduce_sum(x * is_valid) / count
        return tf.reduce_sum(tf.square(x - mean) * is_valid) / count

    total = variance(targets)
    return tf.where(total > 1e-12, 1.0 - variance(errors) / tf.maximum(total, 1e-12), 0.0)
