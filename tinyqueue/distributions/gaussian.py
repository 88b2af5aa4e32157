"""Gaussian: a real number with mean ``mean`` and standard deviation exp(``log_std``).

``log_std`` is a free variable, the same in every state, as in PPO's published settings for MuJoCo
(Schulman et al., 2017, arXiv:1707.06347, §6.1).
"""

from __future__ import annotations

import math

import numpy as np

from tinyqueue.data.spaces import Array
from tinyqueue.distributions.arrays import ArrayModule, Tensor

PARAMETERS: tuple[str, ...] = ("mean", "log_std")
STATE_INDEPENDENT: tuple[str, ...] = ("log_std",)
IS_DENSITY = True

_LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)


def log_prob(xp: ArrayModule, mean: Tensor, log_std: Tensor, actions: Tensor) -> Tensor:
    """Log-density of each action, in the shape of ``mean``; may be above 0.

    Args:
        xp: ``numpy`` or ``keras.ops``.
        mean: Any shape.
        log_std: Logarithm of the standard deviation, of the same shape.
        actions: Real numbers of the same shape.
    """
    distance = (actions - mean) * xp.exp(-log_std)
    return -0.5 * distance * distance - log_std - _LOG_SQRT_2PI


def entropy(xp: ArrayModule, mean: Tensor, log_std: Tensor) -> Tensor:
    """Differential entropy in nats, in the shape of ``mean``; below 0 if the density is narrow."""
    return xp.zeros_like(mean) + log_std + (0.5 + _LOG_SQRT_2PI)


def kl(
    xp: ArrayModule, p_mean: Tensor, p_log_std: Tensor, q_mean: Tensor, q_log_std: Tensor
) -> Tensor:
    """KL divergence of q from p in nats, in the shape of the means."""
    ratio = xp.exp(2.0 * (p_log_std - q_log_std))
    distance = (p_mean - q_mean) * xp.exp(-q_log_std)
    return q_log_std - p_log_std + 0.5 * (ratio + distance * distance - 1.0)


def mode(mean: Array, log_std: Array) -> Array:
    """The mean."""
    return mean


def noise(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Standard normal noise, float32."""
    return rng.standard_normal(shape, dtype=np.float32)


def draw(mean: Array, log_std: Array, noise: Array) -> Array:
    """mean + std · noise."""
    actions: Array = mean + np.exp(log_std) * noise
    return actions
