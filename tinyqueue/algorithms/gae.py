"""Advantage estimation: GAE (Schulman et al., 2016, arXiv:1506.02438), also for stale batches."""

from __future__ import annotations

from typing import Any, NamedTuple

from tinyqueue.algorithms.vtrace import vtrace


class Gae(NamedTuple):
    """What a batch says about values and actions. No gradient flows through either.

    Attributes:
        targets: ``[T, B]`` v_t, what V(x_t) should be.
        advantages: ``[T, B]`` A_t; 0 on an invalid tick.
    """

    targets: Any
    advantages: Any


def gae(
    *,
    log_rhos: Any,
    rewards: Any,
    values: Any,
    terminated: Any,
    valid: Any,
    gamma: float,
    lambda_: float,
) -> Gae:
    """Advantages and targets, time-major.

    δ_t = r_t + γ_t V(x_{t+1}) − V(x_t),
    A_t = δ_t + γ_t λ (v_{t+1} − V(x_{t+1})), with v of V-trace at ρ̄ = c̄ = 1; γ_t is 0 where the
    episode terminated. On-policy every ratio is 1: then v_t = V(x_t) + A_t, and A_t is
    Σ_k (γλ)^k δ_{t+k}. The ratio of tick t itself is the loss's, so it is not in A_t. v_t is V(x_t)
    on an invalid tick, which is the bootstrap through truncation, and nothing flows back from
    the next episode.

    Args:
        log_rhos: ``[T, B]`` log π(a_t|x_t) − log μ(a_t|x_t); zeros take the batch for on-policy.
        rewards: ``[T, B]`` float32.
        values: ``[T+1, B]`` V(x_t); the last row is for bootstrapping.
        terminated, valid: ``[T, B]`` bool.
        gamma: Discount per env step.
        lambda_: Factor of the trace.
    """
    import tensorflow as tf

    targets = vtrace(
        log_rhos=log_rhos,
        rewards=rewards,
        values=values,
        terminated=terminated,
        valid=valid,
        gamma=gamma,
        rho_clip=1.0,
        c_clip=1.0,
        pg_rho_clip=1.0,
        lambda_=lambda_,
    ).targets
    values = tf.stop_gradient(values)
    now, after = values[:-1], values[1:]
    discounts = gamma * (1.0 - tf.cast(terminated, tf.float32))
    corrections = tf.concat([targets[1:] - after[:-1], tf.zeros_like(now[:1])], axis=0)
    advantages = rewards + discounts * (after + lambda_ * corrections) - now
    return Gae(targets, advantages * tf.cast(valid, tf.float32))
