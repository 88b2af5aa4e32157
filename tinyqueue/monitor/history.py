"""The course of a whole run in a few dozen numbers, and as a line of block characters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

BLOCKS = "▁▂▃▄▅▆▇█"
ASCII_BLOCKS = "_.-=+*#@"


class History:
    """Keeps the course of a value over a whole run, however long it is, in fixed memory.

    Each point is the mean of the same number of successive values; when all points are
    used, neighbours are merged.

    Args:
        capacity: Most points to keep; even, at least 2.
    """

    def __init__(self, capacity: int = 96) -> None:
        if capacity < 2 or capacity % 2:
            raise ValueError(f"capacity must be even and at least 2, not {capacity}")
        self._capacity = capacity
        self._points: list[float] = []
        self._per_point = 1
        self._sum = 0.0
        self._count = 0

    def add(self, value: float) -> None:
        """Takes in the next value; NaN, which means nothing was measured yet, is ignored."""
        if math.isnan(value):
            return
        self._sum += value
        self._count += 1
        if self._count < self._per_point:
            return
        self._points.append(self._sum / self._count)
        self._sum, self._count = 0.0, 0
        if len(self._points) == self._capacity:
            pairs = zip(self._points[::2], self._points[1::2], strict=True)
            self._points = [(a + b) / 2 for a, b in pairs]
            self._per_point *= 2

    @property
    def points(self) -> list[float]:
        """Oldest first; the last may be the mean of fewer values than the others."""
        unfinished = [self._sum / self._count] if self._count else []
        return [*self._points, *unfinished]


def sparkline(points: Sequence[float], width: int, blocks: str = BLOCKS) -> str:
    """At most ``width`` characters, from the lowest block at the minimum to the highest.

    Args:
        points: Finite values; more of them than ``width`` are averaged in groups.
        width: Characters at most.
        blocks: Characters from low to high.
    """
    if not points or width < 1:
        return ""
    count = min(width, len(points))
    edges = [round(i * len(points) / count) for i in range(count + 1)]
    groups = [points[a:b] for a, b in pairwise(edges)]
    means = [sum(group) / len(group) for group in groups]
    low, high = min(means), max(means)
    scale = (len(blocks) - 1) / (high - low) if high > low else 0.0
    return "".join(blocks[round((mean - low) * scale)] for mean in means)
