"""Drawing in proportion to a value, from a million values: a sum tree in NumPy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tinyqueue.data.spaces import Array

_TOP = 2048
"""A level of at most this many sums is searched as a whole: one cumulative sum costs less
than the ten levels of pairs that it replaces."""


class SumTree:
    """Values ≥ 0 at fixed indices, all 0 at first, found by prefix sums.

    Every sum is recomputed from its two parts, so rounding errors do not build up.

    Args:
        capacity: Number of values, at least 1.
    """

    def __init__(self, capacity: int) -> None:
        depth = max(0, (capacity - 1).bit_length() - _TOP.bit_length() + 1)
        size = -(-capacity // (1 << depth)) << depth
        # Level 0 holds the values; each further level the sums of pairs of the one before.
        self._levels = [np.zeros(size >> level, np.float64) for level in range(depth + 1)]
        self._pairs = [level.reshape(-1, 2) for level in self._levels[:-1]]
        self._capacity = capacity

    @property
    def total(self) -> float:
        """The sum of all values."""
        return float(self._levels[-1].sum())

    def get(self, indices: Array) -> npt.NDArray[np.float64]:
        """``[N]`` values at ``[N]`` indices."""
        return self._levels[0][indices]

    def set(self, indices: Array, values: Array | float) -> None:
        """Sets ``[N]`` values. If an index occurs twice, its last value counts."""
        self._levels[0][indices] = values
        nodes = indices
        for level, pairs in zip(self._levels[1:], self._pairs, strict=True):
            nodes = nodes >> 1
            parts = pairs.take(nodes, axis=0)
            level[nodes] = parts[:, 0] + parts[:, 1]

    def set_range(self, first: int, values: Array) -> None:
        """Sets the values at ``first … first + N − 1``; cheaper than :meth:`set`."""
        end = first + len(values)
        self._levels[0][first:end] = values
        for level, pairs in zip(self._levels[1:], self._pairs, strict=True):
            first, end = first >> 1, (end + 1) >> 1
            np.add(pairs[first:end, 0], pairs[first:end, 1], out=level[first:end])

    def find(self, sums: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
        """The first indices whose running total exceeds each of ``[N]`` sums.

        Args:
            sums: In ``[0, total)``. The total must not be 0; an index whose value is 0 is
                never found, whatever rounding does.
        """
        running = np.cumsum(self._levels[-1])
        sums = np.minimum(sums, np.nextafter(running[-1], 0.0))
        nodes = np.searchsorted(running, sums, side="right")
        # Rounding may make the rest negative, which would lead into an empty half.
        rest = np.maximum(sums - (running[nodes] - self._levels[-1][nodes]), 0.0)
        for pairs in reversed(self._pairs):
            parts = pairs.take(nodes, axis=0)
            left = parts[:, 0]
            is_right = (rest >= left) & (parts[:, 1] > 0)
            rest -= left * is_right
            nodes = nodes * 2 + is_right
        return nodes
