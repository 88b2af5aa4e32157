"""Targets of Q values, and losses of their errors. Pure functions inside a graph.

Double Q learning: van Hasselt et al., 2016, arXiv:1509.06461. Value rescaling: Pohlen et al.,
2018, arXiv:1805.11593, with ε = 1e-3 as in R2D2.
"""

from __future__ import annotations

from tinyqueue.algorithms.returns import suffix_sum
from tinyqueue.distributions import Tensor
from tinyqueue.distributions.categorical import masked
from tinyqueue.models.tensors import require
from tinyqueue.replay.value_rescaling import EPSILON


def taken(q: Tensor, actions: Tensor) -> Tensor:
    """Q of the actions taken: ``[…, n]`` and ``[…]`` integers → ``[…]``."""
    import tensorflow as tf

    require(tuple(q.shape[:-1]), actions.dtype.name, actions=actions)
    # Cheaper than a gather, whose gradient is a scatter.
    chosen = tf.one_hot(tf.cast(actions, tf.int32), q.shape[-1], dtype=q.dtype)
    return tf.reduce_sum(q * chosen, axis=-1)


def state_values(
    target_q: Tensor, online_q: Tensor | None = None, valid: Tensor | None = None
) -> Tensor:
    """The value of a state by the target network, ``[…, n]`` → ``[…]``.

    Args:
        target_q: ``[…, n]`` Q of the target network.
        online_q: ``[…, n]`` Q of the online network, which then chooses the action: double Q
            learning. None: the target network also chooses.
        valid: ``[…, n]`` bool, the actions to choose from, at least one; None: all.
    """
    import tensorflow as tf
    from keras import ops

    if online_q is not None:
        require(tuple(target_q.shape), target_q.dtype.name, online_q=online_q)
    if valid is not None:
        require(tuple(target_q.shape), "bool", valid=valid)
    chooser = target_q if online_q is None else online_q
    if valid is not None:
        chooser = masked(ops, chooser, valid)
    if online_q is None:
        return tf.reduce_max(chooser, axis=-1)
    return taken(target_q, tf.argmax(chooser, axis=-1, output_type=tf.int32))


def sequence_targets(
    *,
    rewards: Tensor,
    terminated: Tensor,
    mask: Tensor,
    values: Tensor,
    n_step: int,
    gamma: float,
) -> Tensor:
    """``Σ_{k<m} γ^k r_{t+k} + γ^m (1 − terminated) V_{t+m}``, time-major.

    m is n, or the number of ticks to the end of the episode or of the sequence, whichever is
    least. The row after an episode's last tick is its final observation: truncation bootstraps
    from it.

    Args:
        rewards: ``[U, N]`` float32.
        terminated: ``[U, N]`` bool.
        mask: ``[U, N]`` bool, played ticks; where it is false, the target is meaningless.
        values: ``[U+1, N]`` V of the row before each tick, and of the row after the last.
        n_step: n.
        gamma: Discount per env step.

    Returns:
        ``[U, N]``.
    """
    import tensorflow as tf

    require((None, None), "float32", rewards=rewards)
    ticks, count = rewards.shape
    require((ticks, count), "bool", terminated=terminated, mask=mask)
    require((ticks + 1, count), "float32", values=values)
    played = tf.cast(mask, tf.float32)
    rewards = rewards * played
    goes_on = played * (1.0 - tf.cast(terminated, tf.float32))
    targets = rewards + gamma * goes_on * values[1:]
    for _ in range(1, min(n_step, ticks)):
        # The next tick's target with one step less, or V of its row where nothing was played.
        after = tf.where(mask[1:], targets[1:], values[1:-1])
        targets = rewards + gamma * goes_on * tf.concat([after, values[-1:]], axis=0)
    return targets


def lambda_targets(
    *,
    rewards: Tensor,
    terminated: Tensor,
    valid: Tensor,
    values: Tensor,
    is_followed: Tensor,
    gamma: float,
    lambda_: float,
) -> Tensor:
    """``G_t = r_t + γ(1 − terminated)·[λ·G_{t+1} + (1 − λ)·V_{t+1}]``, time-major.

    Q(λ) of Peng & Williams (1996); with ``is_followed`` of greedy actions only, Watkins's (1989).
    The bracket is V_{t+1} alone where t is the last tick of an episode or of the batch, and where
    the action after it is not followed. The row after an episode's last tick is its final
    observation: truncation bootstraps from it.

    Args:
        rewards: ``[T, B]`` float32.
        terminated, valid: ``[T, B]`` bool; where ``valid`` is false, the target is meaningless.
        values: ``[T+1, B]`` float32, max Q of every row.
        is_followed: ``[T, B]`` bool, whether a return may run on through the action of a tick.
        gamma: Discount per env step.
        lambda_: λ.

    Returns:
        ``[T, B]``.
    """
    import tensorflow as tf

    require((None, None), "float32", rewards=rewards)
    ticks, slots = rewards.shape
    require((ticks, slots), "bool", terminated=terminated, valid=valid, is_followed=is_followed)
    require((ticks + 1, slots), "float32", values=values)
    discounts = gamma * (1.0 - tf.cast(terminated, tf.float32))
    runs_on = tf.concat([(valid & is_followed)[1:], tf.zeros_like(valid[:1])], axis=0)
    traces = lambda_ * tf.cast(runs_on, tf.float32)
    return suffix_sum(rewards + discounts * (1.0 - traces) * values[1:], discounts * traces)


def rescale(x: Tensor) -> Tensor:
    """h(x) = sign(x)(√(|x| + 1) − 1) + εx."""
    import tensorflow as tf

    return tf.sign(x) * (tf.sqrt(tf.abs(x) + 1.0) - 1.0) + EPSILON * x


def unscale(x: Tensor) -> Tensor:
    """h⁻¹(x) = sign(x)[((√(1 + 4ε(|x| + 1 + ε)) − 1)/(2ε))² − 1]."""
    import tensorflow as tf

    size = tf.abs(x) + 1.0 + EPSILON
    # (√(1 + 4εs) − 1)/(2ε) without the subtraction, which costs float32 five digits.
    root = 2.0 * size / (tf.sqrt(1.0 + 4.0 * EPSILON * size) + 1.0)
    return tf.sign(x) * (tf.square(root) - 1.0)


def error_losses(errors: Tensor, *, huber: bool) -> Tensor:
    """½δ² of each error; with ``huber``, |δ| − ½ where |δ| > 1."""
    import tensorflow as tf

    if not huber:
        return 0.5 * tf.square(errors)
    size = tf.abs(errors)
    within = tf.minimum(size, 1.0)
    return within * (size - 0.5 * within)
