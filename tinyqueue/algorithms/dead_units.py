"""Hidden units that no longer learn, found in a checkpoint by Adam's moments of their biases.

A ReLU that is 0 at every row, or a tanh far in its saturation, passes no gradient at all to its
unit's bias. Adam's mean of gradients then decays much faster than its mean of their squares.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from tinyqueue.data.spaces import Array

_FIRST = re.compile(r"(?P<layer>(?:^|.*/)first/.+)/(?:bias|beta)$")
_NORM = "_norm"
"""A layer that normalises another's output is named after it."""
_LEAST_SHARE = 1e-8
"""Of the squared mean in the mean square. 0.9²/0.999 per step bring 1 to it in 88 steps."""
_SETTLED = 0.999**100
"""β₂ᵗ after so many steps."""


def dead_units(state: Mapping[str, Array]) -> float | None:
    """The share of units whose bias has had no gradient for the last 100 optimiser steps or so.

    Args:
        state: The arrays of a checkpoint, by name: those of an algorithm and its optimisers.

    Returns:
        0 to 1; None if an optimiser has taken fewer steps, if none keeps both moments, or if there
        are no biases.
    """
    if any(power > _SETTLED for name, power in state.items() if name.endswith("beta2_power")):
        return None
    biases = {m["layer"]: name for name in state if (m := _FIRST.match(name))}
    dead = total = 0
    for layer, name in biases.items():
        # What normalises a layer mixes its units, so that a bias before it always has a gradient.
        if state[name].ndim != 1 or layer + _NORM in biases:
            continue
        second = state.get(name.replace("first/", "second/"))
        if second is None:
            continue
        squared_mean = state[name].astype(np.float64) ** 2
        dead += int(np.sum(squared_mean <= _LEAST_SHARE * second))
        total += second.size
    return dead / total if total else None
