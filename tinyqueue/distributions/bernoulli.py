"""Bernoulli: 0 or 1, where 1 has the probability sigmoid(logit)."""

from __future__ import annotations

import numpy as np

from tinyqueue.data.spaces import Array
from tinyqueue.distributions.arrays import ArrayModule, Tensor

PARAMETERS: tuple[str, ...] = ("logits",)
STATE_INDEPENDENT: tuple[str, ...] = ()
IS_DENSITY = False


def softplus(xp: ArrayModule, x: Tensor) -> Tensor:
    """log(1 + eˣ) without overflow.

    max(x, 0) is written (x + |x|) / 2, so that the gradient at 0 is ½, as it must be: TensorFlow's
    ``maximum`` has the gradient 1 there.
    """
    size = xp.abs(x)
    return 0.5 * (x + size) + xp.log1p(xp.exp(-size))


def log_prob(xp: ArrayModule, logits: Tensor, actions: Tensor) -> Tensor:
    """Log-probability of each action, in the shape of ``logits``.

    Args:
        xp: ``numpy`` or ``keras.ops``.
        logits: Log-odds of 1, any shape.
        actions: Integers 0 or 1 of the same shape.
    """
    return xp.where(xp.equal(actions, 1), logits, 0.0) - softplus(xp, logits)


def entropy(xp: ArrayModule, logits: Tensor) -> Tensor:
    """Entropy in nats, in the shape of ``logits``: log(1 + eˡ) − l·sigmoid(l)."""
    return softplus(xp, logits) - logits * _sigmoid(xp, logits)


def kl(xp: ArrayModule, p_logits: Tensor, q_logits: Tensor) -> Tensor:
    """KL divergence of q from p in nats, in the shape of the logits."""
    difference = softplus(xp, q_logits) - softplus(xp, p_logits)
    return _sigmoid(xp, p_logits) * (p_logits - q_logits) + difference


def mode(logits: Array) -> Array:
    """1 where it is more probable than 0, else 0."""
    values: Array = logits > 0
    return values


def noise(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Standard logistic noise, float32: the difference of two Gumbel draws."""
    # Unlike log(u / (1 − u)), log E₁ − log E₂ needs no special care at the ends.
    first, second = rng.standard_exponential((2, *shape), dtype=np.float32)
    tiny = np.finfo(np.float32).tiny
    values: Array = np.log(np.maximum(first, tiny)) - np.log(np.maximum(second, tiny))
    return values


def draw(logits: Array, noise: Array) -> Array:
    """1 where logit + noise > 0, which has the probability sigmoid(logit); else 0."""
    values: Array = logits + noise > 0
    return values


def _sigmoid(xp: ArrayModule, x: Tensor) -> Tensor:
    return xp.exp(-softplus(xp, -x))
