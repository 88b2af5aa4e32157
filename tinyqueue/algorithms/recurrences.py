"""Recurrences backward in time, in log₂ T steps instead of T."""

from __future__ import annotations

from tinyqueue.distributions import Tensor


def suffix_sum(deltas: Tensor, decays: Tensor) -> Tensor:
    """``y_t = deltas_t + decays_t · y_{t+1}`` for t = T−1 … 0, with ``y_T = 0``.

    A Hillis–Steele scan over the affine maps y ↦ deltas_t + decays_t·y: a loop of T small
    operations would cost more than the network's forward pass.

    Args:
        deltas: ``[T, …]``, T known when the graph is built.
        decays: Of the same shape.

    Returns:
        ``[T, …]``.
    """
    import tensorflow as tf

    ticks = deltas.shape[0]
    sums, products = deltas, decays
    reach = 1
    while reach < ticks:
        # Rows whose map already reaches the end keep it.
        head = sums[:-reach] + products[:-reach] * sums[reach:]
        sums = tf.concat([head, sums[-reach:]], axis=0)
        reach *= 2
        if reach < ticks:
            half = reach // 2
            products = tf.concat([products[:-half] * products[half:], products[-half:]], axis=0)
    return sums
