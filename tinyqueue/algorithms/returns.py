"""Returns, advantages and targets of the stream, time-major. Pure functions inside a graph.

V-trace: Espeholt et al., 2018, arXiv:1802.01561.
"""

from __future__ import annotations

from typing import NamedTuple

from tinyqueue.distributions import Tensor
from tinyqueue.models.tensors import require


class Estimates(NamedTuple):
    """Estimates from a batch. No gradient flows through either.

    Attributes:
        targets: ``[T, B]`` v_t, targets for V(x_t).
        advantages: ``[T, B]`` A_t; 0 on an invalid tick.
    """

    targets: Tensor
    advantages: Tensor


def vtrace(  # noqa: PLR0913  # the symbols of one recursion, all by name
    *,
    log_rhos: Tensor,
    rewards: Tensor,
    values: Tensor,
    terminated: Tensor,
    valid: Tensor,
    gamma: float,
    lambda_: float,
    rho_clip: float = 1.0,
    c_clip: float = 1.0,
    pg_rho_clip: float = 1.0,
) -> Estimates:
    """Value targets and advantages for a batch played by another policy μ.

    δ_t = ρ_t(r_t + γ_t V(x_{t+1}) − V(x_t)),
    v_t − V(x_t) = δ_t + γ_t c_t (v_{t+1} − V(x_{t+1})), and v_T = V(x_T),
    A_t = min(ρ̄_pg, π/μ)·(r_t + γ_t v_{t+1} − V(x_t)); γ_t is 0 where the episode terminated, and
    δ_t and c_t are 0 on an invalid tick. There, v = V of the final observation: truncated episodes
    are bootstrapped, and nothing flows back from the next episode.

    Args:
        log_rhos: ``[T, B]`` float32 log π(a_t|x_t) − log μ(a_t|x_t).
        rewards: ``[T, B]`` float32.
        values: ``[T+1, B]`` float32 V(x_t); the last row is for bootstrapping.
        terminated, valid: ``[T, B]`` bool.
        gamma: Discount per env step.
        lambda_: λ, a factor on the trace.
        rho_clip, c_clip, pg_rho_clip: ρ̄, c̄ and ρ̄_pg.
    """
    import tensorflow as tf

    require((None, None), "float32", rewards=rewards)
    ticks, slots = rewards.shape
    require((ticks, slots), "float32", log_rhos=log_rhos)
    require((ticks + 1, slots), "float32", values=values)
    require((ticks, slots), "bool", terminated=terminated, valid=valid)
    values = tf.stop_gradient(values)
    now, after = values[:-1], values[1:]
    rhos = tf.exp(tf.stop_gradient(log_rhos))
    is_valid = tf.cast(valid, tf.float32)
    discounts = gamma * (1.0 - tf.cast(terminated, tf.float32))
    errors = tf.minimum(rhos, rho_clip) * (rewards + discounts * after - now) * is_valid
    traces = lambda_ * tf.minimum(rhos, c_clip) * discounts * is_valid
    targets = now + suffix_sum(errors, traces)
    targets_after = tf.concat([targets[1:], values[-1:]], axis=0)
    advantages = tf.minimum(rhos, pg_rho_clip) * (rewards + discounts * targets_after - now)
    return Estimates(targets, advantages * is_valid)


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
