"""Multi-entry actions numbered as joint actions, for algorithms that rank actions by value.

A MultiDiscrete of 3 × 4 values has 12 joint actions: (0, 0), (0, 1), … (2, 3), numbered in that
order, the last entry changing fastest. The heads of Q learning act in these numbers, and its
updates use :meth:`JointActions.index` to find the value of the action that was taken.
"""

from __future__ import annotations

import math

import numpy as np

from tinyqueue.data.spaces import Array, Space, described, smallest_integer_dtype
from tinyqueue.errors import ConfigError

MOST_JOINT_ACTIONS = 1024
"""Each joint action needs a network output; with more than this, most are never tried."""


class JointActions:
    """The joint actions of a space: a Discrete as it is, a MultiDiscrete or MultiBinary flattened.

    Args:
        actions: The action space.

    Attributes:
        path: Path of the only leaf.
        n: Number of joint actions.
        dtype: Dtype of indices: the leaf's own for a Discrete, else the smallest that holds them.
        is_flattened: Whether an index differs from the action itself.
        strides: The weight of each entry's value in the index; ``()`` for a Discrete.
        places: ``[n, entries]``, the position in a mask of each joint action's values.

    Raises:
        ConfigError: The space is of another kind, or has too many joint actions.
    """

    def __init__(self, actions: Space) -> None:
        leaves = list(actions.items())
        if len(leaves) != 1 or not leaves[0][1].is_discrete:
            raise ConfigError(f"{_WHERE}; the actions here are {described(actions)}. {_ADVICE}")
        ((self.path, leaf),) = leaves
        counts = leaf.counts
        self.n = math.prod(counts)
        if leaf.shape and self.n > MOST_JOINT_ACTIONS:
            raise ConfigError(f"{_WHERE}; there are {self.n:,} of them here. {_ADVICE}")
        self.is_flattened = bool(leaf.shape)
        self.strides: tuple[int, ...] = ()
        self.dtype = leaf.dtype
        if self.is_flattened:
            self.strides = tuple(math.prod(counts[place + 1 :]) for place in range(len(counts)))
            self.dtype = smallest_integer_dtype(self.n)
        joint = np.stack(np.unravel_index(np.arange(self.n), counts), axis=-1)
        self.places: Array = joint + np.cumsum((0, *counts[:-1]))
        self._rank = len(leaf.shape)
        self._entries = joint.astype(leaf.dtype).reshape(self.n, *leaf.shape)

    def entries(self, indices: Array) -> Array:
        """``[..., *shape]`` actions in the wire's dtype, from ``[...]`` indices."""
        return self._entries[indices] if self.is_flattened else indices

    def index(self, actions: Array) -> Array:
        """``[...]`` indices, from ``[..., *shape]`` actions."""
        if not self.is_flattened:
            return actions
        flat = actions.reshape(*actions.shape[: actions.ndim - self._rank], -1)
        found: Array = (flat.astype(np.int64) @ np.array(self.strides)).astype(self.dtype)
        return found

    def valid(self, mask: Array) -> Array:
        """``[..., n]`` bool: the joint actions that a mask ``[..., sum of counts]`` allows."""
        if not self.is_flattened:
            return mask
        return np.asarray(mask[..., self.places].all(axis=-1))


_WHERE = (
    "an algorithm that ranks actions by their value acts in one Discrete space, or in one "
    f"MultiDiscrete or MultiBinary of at most {MOST_JOINT_ACTIONS:,} joint actions"
)
_ADVICE = (
    "Use an algorithm that draws its actions, such as impala, a3c or ppo, which act in any space, "
    "or wrap the environment to have fewer actions."
)
