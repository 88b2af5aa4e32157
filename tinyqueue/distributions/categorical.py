"""Categorical: one of n values, with probabilities softmax(logits).

A logit of −∞ makes a value impossible: its probability is 0, and it contributes nothing to
entropy, divergence or gradient.
"""

from __future__ import annotations

import numpy as np

from tinyqueue.data.spaces import Array
from tinyqueue.distributions.arrays import ArrayModule, Tensor, constant, log_softmax

PARAMETERS: tuple[str, ...] = ("logits",)
STATE_INDEPENDENT: tuple[str, ...] = ()
IS_DENSITY = False

MASKED = -1e9
"""Replaces the logit or value of an invalid action.

A finite stand-in for log 0: the probability is exactly 0 in float32, and p·log p is 0, not NaN.
"""

_TINY = np.finfo(np.float32).tiny


def masked(xp: ArrayModule, logits: Tensor, mask: Tensor) -> Tensor:
    """``[..., n]`` logits, or action values, with :data:`MASKED` for invalid ones.

    Args:
        xp: ``numpy`` or ``keras.ops``.
        logits: ``[..., n]``.
        mask: ``[..., n]`` bool, true for valid values.
    """
    return xp.where(mask, logits, MASKED)


def log_probs(xp: ArrayModule, logits: Tensor) -> Tensor:
    """``[..., n]`` log-probabilities of all values: log softmax.

    Args:
        xp: ``numpy`` or ``keras.ops``.
        logits: ``[..., n]``, at least one of them finite.
    """
    return log_softmax(xp, logits)


def log_prob(xp: ArrayModule, logits: Tensor, actions: Tensor) -> Tensor:
    """``[...]`` log-probability of the actions.

    Args:
        xp: ``numpy`` or ``keras.ops``.
        logits: ``[..., n]``.
        actions: ``[...]`` integers, 0 … n−1.
    """
    chosen = xp.expand_dims(actions, -1)
    return xp.squeeze(xp.take_along_axis(log_probs(xp, logits), chosen, axis=-1), -1)


def entropy(xp: ArrayModule, logits: Tensor) -> Tensor:
    """``[...]`` entropy in nats: −Σ p log p."""
    log_p = log_probs(xp, logits)
    # Its gradient is −Σ ∇p log p, since Σ p ∇log p = ∇Σ p = 0. Where p is 0, 0 · −∞ would be NaN.
    weights = constant(xp, xp.maximum(log_p, MASKED))
    return -xp.sum(xp.exp(log_p) * weights, axis=-1)


def kl(xp: ArrayModule, p_logits: Tensor, q_logits: Tensor) -> Tensor:
    """``[...]`` KL divergence of q from p in nats: Σ p (log p − log q).

    Infinite where q excludes a value that p allows.
    """
    log_p, log_q = log_probs(xp, p_logits), log_probs(xp, q_logits)
    p = xp.exp(log_p)
    allowed = p > 0
    terms = xp.where(allowed, log_p, 0.0) - xp.where(allowed, log_q, 0.0)
    return xp.sum(p * terms, axis=-1)


def mode(logits: Array) -> Array:
    """``[...]`` the most probable value; the first one in a tie."""
    values: Array = logits.argmax(axis=-1)
    return values


def noise(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Standard Gumbel noise, float32: −log E, E standard exponential. ``shape`` is the logits'."""
    draws = rng.standard_exponential(shape, dtype=np.float32)
    np.maximum(draws, _TINY, out=draws)
    np.log(draws, out=draws)
    return np.negative(draws, out=draws)


def draw(logits: Array, noise: Array) -> Array:
    """``[...]`` a sample by the Gumbel-max trick: argmax(logits + noise) (Gumbel, 1954)."""
    values: Array = (logits + noise).argmax(axis=-1)
    return values
