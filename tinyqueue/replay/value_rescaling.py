"""Value rescaling in NumPy (Pohlen et al., 2018, arXiv:1805.11593), as R2D2 uses it."""

from __future__ import annotations

import numpy as np

from tinyqueue.data.spaces import Array

EPSILON = 1e-3
"""ε keeps h invertible with a bounded slope."""


def rescale(x: Array) -> Array:
    """h(x) = sign(x)(√(|x| + 1) − 1) + εx, which shrinks large returns."""
    return np.sign(x) * (np.sqrt(np.abs(x) + 1.0) - 1.0) + EPSILON * x


def unscale(x: Array) -> Array:
    """h⁻¹(x) = sign(x)[((√(1 + 4ε(|x| + 1 + ε)) − 1)/2ε)² − 1]."""
    root = np.sqrt(1.0 + 4.0 * EPSILON * (np.abs(x) + 1.0 + EPSILON))
    return np.sign(x) * (((root - 1.0) / (2.0 * EPSILON)) ** 2 - 1.0)
