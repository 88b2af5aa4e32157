"""What formulas for arrays of either library need: type names, and what NumPy does not have.

NumPy and Keras share no static types, so both names are ``Any``; they tell the reader what is
meant.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

ArrayModule: TypeAlias = Any
"""``numpy`` or ``keras.ops``."""
Tensor: TypeAlias = Any
"""A NumPy array, or a tensor of Keras or TensorFlow."""


def log_softmax(xp: ArrayModule, x: Tensor) -> Tensor:
    """``[..., n]`` x − log Σ exp x. In a graph it is one operation, and so is its gradient."""
    if xp is not np:
        return xp.log_softmax(x, axis=-1)
    scores = x - np.max(x, axis=-1, keepdims=True)
    return scores - np.log(np.sum(np.exp(scores), axis=-1, keepdims=True))


def constant(xp: ArrayModule, x: Tensor) -> Tensor:
    """``x``, through which no gradient goes."""
    return x if xp is np else xp.stop_gradient(x)
