"""Which items are drawn: uniformly, or in proportion to their priorities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

import numpy as np

from tinyqueue.data.schedules import Constant, Linear
from tinyqueue.data.spaces import Array, Arrays
from tinyqueue.replay.plan import Prioritisation
from tinyqueue.replay.sum_tree import SumTree


class Drawn(NamedTuple):
    """N draws with replacement.

    Attributes:
        rows: ``[N]`` int64 indices of live items.
        weights: ``[N]`` float32 importance weights, the largest of them 1.
    """

    rows: Array
    weights: Array


class Sampler(Protocol):
    """Tracks which items are live, and draws from them with a given generator."""

    @property
    def size(self) -> int:
        """Number of live items."""
        ...

    def add(self, rows: Array, errors: Array) -> None:
        """Makes ``[N]`` items live, with their |δ|; NaN means unknown, to be drawn soon."""
        ...

    def discard(self, rows: Array) -> None:
        """Removes items that can no longer be gathered; some may not be live."""
        ...

    def clear(self, first: int, count: int) -> None:
        """Discards the items ``first … first + count − 1``."""
        ...

    def draw(self, rng: np.random.Generator, count: int, updates: int) -> Drawn:
        """Draws ``count`` items; at least one must be live. ``updates`` is the clock of β."""
        ...

    def is_live(self, rows: Array) -> Array:
        """``[N]`` bool, whether the items can be drawn."""
        ...

    def update(self, rows: Array, errors: Array) -> None:
        """Sets |δ| of live items."""
        ...

    def snapshot(self, blocks: Array, count: int) -> Arrays:
        """What a checkpoint keeps of the items in ``[K]`` blocks of ``count`` rows.

        Empty if there is nothing to keep.
        """
        ...

    def restore(self, kept: Arrays, first_rows: Mapping[int, int]) -> None:
        """Restores a snapshot for those of its items that are live again.

        Args:
            kept: What :meth:`snapshot` returned.
            first_rows: Index of a block in the snapshot → that block's first row now.
        """
        ...


class UniformSampler:
    """Draws live items uniformly.

    Args:
        capacity: Largest index + 1.
    """

    def __init__(self, capacity: int) -> None:
        self._live = np.zeros(capacity, bool)
        self._size = 0
        self._written = 0

    @property
    def size(self) -> int:
        """Number of live items."""
        return self._size

    def add(self, rows: Array, errors: Array) -> None:
        """Makes ``[N]`` items live; their |δ| is ignored."""
        del errors
        if len(rows):
            self._live[rows] = True
            self._size += len(rows)
            self._written = max(self._written, int(rows.max()) + 1)

    def discard(self, rows: Array) -> None:
        """Removes items, which need not be live."""
        self._size -= int(np.count_nonzero(self._live[rows]))
        self._live[rows] = False

    def clear(self, first: int, count: int) -> None:
        """Removes the items ``first … first + count − 1``."""
        self._size -= int(np.count_nonzero(self._live[first : first + count]))
        self._live[first : first + count] = False

    def is_live(self, rows: Array) -> Array:
        """``[N]`` bool, whether the items can be drawn."""
        return self._live[rows]

    def rows(self, rng: np.random.Generator, count: int) -> Array:
        """``[count]`` live rows, drawn from all written rows until enough of them are live."""
        found = np.empty(0, np.int64)
        while (missing := count - len(found)) > 0:
            share = self._size / self._written
            drawn = rng.integers(self._written, size=int(missing / share * 1.1) + 8)
            found = np.concatenate([found, drawn[self._live[drawn]][:missing]])
        return found

    def draw(self, rng: np.random.Generator, count: int, updates: int) -> Drawn:
        """``count`` items with weights of 1; at least one must be live."""
        del updates
        return Drawn(self.rows(rng, count), np.ones(count, np.float32))

    def update(self, rows: Array, errors: Array) -> None:
        """Does nothing: there are no priorities."""

    def snapshot(self, blocks: Array, count: int) -> Arrays:
        """Empty: there are no priorities to keep."""
        return {}

    def restore(self, kept: Arrays, first_rows: Mapping[int, int]) -> None:
        """Does nothing: there are no priorities."""


class PrioritisedSampler:
    """P(i) = (1 − floor)·p_i^α / Σ p^α + floor / N, with weights (N·P(i))^−β / max.

    Args:
        capacity: Largest index + 1.
        prioritisation: α, β, the floor and ε.
    """

    def __init__(self, capacity: int, prioritisation: Prioritisation) -> None:
        self._plan = prioritisation
        self._items = UniformSampler(capacity)
        self._tree = SumTree(capacity)
        self.largest = 1.0
        """The largest p^α so far, which items with unknown |δ| get."""
        steps = prioritisation.importance_steps
        self._importance = (
            Linear(prioritisation.importance, prioritisation.importance_end, steps)
            if steps
            else Constant(prioritisation.importance)
        )

    @property
    def size(self) -> int:
        """Number of live items."""
        return self._items.size

    def add(self, rows: Array, errors: Array) -> None:
        """Makes ``[N]`` items live with priorities |δ| + ε; NaN gets the largest so far."""
        self._items.add(rows, errors)
        self.update(rows, errors)

    def update(self, rows: Array, errors: Array) -> None:
        """Sets the priorities |δ| + ε of live items."""
        powers = (np.abs(errors.astype(np.float64)) + self._plan.epsilon) ** self._plan.exponent
        known = np.isfinite(powers)
        self.largest = max(self.largest, powers.max(initial=0.0, where=known))
        self._tree.set(rows, np.where(known, powers, self.largest))

    def discard(self, rows: Array) -> None:
        """Removes items, which need not be live, and their priorities."""
        self._items.discard(rows)
        self._tree.set(rows, 0.0)

    def clear(self, first: int, count: int) -> None:
        """Removes the items ``first … first + count − 1`` and their priorities."""
        self._items.clear(first, count)
        self._tree.set_range(first, np.zeros(count))

    def is_live(self, rows: Array) -> Array:
        """``[N]`` bool, whether the items can be drawn."""
        return self._items.is_live(rows)

    def draw(self, rng: np.random.Generator, count: int, updates: int) -> Drawn:
        """``count`` items by P(i), with weights by β at this number of updates."""
        floor = self._plan.floor
        total = self._tree.total
        alike = int(rng.binomial(count, floor))
        rows = self._tree.find(rng.random(count - alike) * total)
        rows = np.concatenate([rows, self._items.rows(rng, alike)])
        chances = (1 - floor) * self._tree.get(rows) / total + floor / self.size
        weights = (self.size * chances) ** -self._importance(updates)
        return Drawn(rows, (weights / weights.max()).astype(np.float32))

    def snapshot(self, blocks: Array, count: int) -> Arrays:
        """``priorities`` ``[K, count]`` float64 p^α, 0 where there is no item; ``largest``."""
        rows = blocks[:, None] * count + np.arange(count)
        return {"priorities": self._tree.get(rows), "largest": np.array([self.largest])}

    def restore(self, kept: Arrays, first_rows: Mapping[int, int]) -> None:
        """Sets the priorities of a snapshot for those of its items that are live."""
        for place, first in first_rows.items():
            powers = kept["priorities"][place]
            rows = np.arange(first, first + len(powers))
            was_live = (powers > 0) & self._items.is_live(rows)
            self._tree.set(rows[was_live], powers[was_live])
        self.largest = float(kept["largest"][0])
