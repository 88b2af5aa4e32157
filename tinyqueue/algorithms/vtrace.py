"""V-trace: IMPALA (Espeholt et al., 2018, arXiv:1802.01561), §4.1."""

from __future__ import annotations

from typing import Any, NamedTuple

from tinyqueue.algorithms.recurrences import suffix_sum


class VTrace(NamedTuple):
    """What a batch says about values and actions. No gradient flows through either.

    Attributes:
        targets: ``[T, B]`` v_t, what V(x_t) should be.
        advantages: ``[T, B]`` min(ρ̄_pg, π/μ)·(r_t + γ_t v_{t+1} − V(x_t)).
    """

    targets: Any
    advantages: Any


def vtrace(
    *,
    log_rhos: Any,
    rewards: Any,
    values: Any,
    terminated: Any,
    valid: Any,
    gamma: float,
    rho_clip: float,
    c_clip: float,
    pg_rho_clip: float,
    lambda_: float,
) -> VTrace:
    """Off-policy targets, time-major.

    δ_t = ρ_t(r_t + γ_t V(x_{t+1}) − V(x_t)),
    v_t − V(x_t) = δ_t + γ_t c_t (v_{t+1} − V(x_{t+1})), and v_T = V(x_T); γ_t is 0 where the
    episode terminated, and δ_t and c_t are 0 on an invalid tick. The final observation of a
    truncated episode stands in an invalid tick, so v is V there: that is the bootstrap
    through truncation, and nothing flows back from the next episode.

    Args:
        log_rhos: ``[T, B]`` log π(a_t|x_t) − log μ(a_t|x_t).
        rewards: ``[T, B]`` float32.
        values: ``[T+1, B]`` V(x_t); the last row is for bootstrapping.
        terminated, valid: ``[T, B]`` bool.
        gamma: Discount per env step.
        rho_clip, c_clip, pg_rho_clip: ρ̄, c̄ and ρ̄_pg.
        lambda_: Factor of the trace.
    """
    import tensorflow as tf

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
    return VTrace(targets, advantages * is_valid)
