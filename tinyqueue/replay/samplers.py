"""Which items are drawn: all alike, or in proportion to their priorities."""

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
    """Knows which items are live. It draws from a generator that it is given."""

    @property
    def size(self) -> int:
        """Live items."""
        ...

    def add(self, rows: Array, errors: Array) -> None:
        """Makes items live, with their |δ|; NaN: not known, drawn soon."""
        ...

    def discard(self, rows: Array) -> None:
        """Items that can no longer be gathered; some may not be live."""
        ...

    def clear(self, first: int, count: int) -> None:
        """Discards the items ``first … first + count − 1``."""
        ...

    def draw(self, rng: np.random.Generator, count: int, updates: int) -> Drawn:
        """``count`` items; there must be one. ``updates`` is the clock of β."""
        ...

    def is_live(self, rows: Array) -> Array: ...

    def update(self, rows: Array, errors: Array) -> None:
        """Gives live items another |δ|."""
        ...

    def snapshot(self, blocks: Array, count: int) -> Arrays:
        """What a checkpoint keeps of the items in ``[K]`` blocks of ``count``; empty when there
        is nothing to keep."""
        ...

    def restore(self, kept: Arrays, first_rows: Mapping[int, int]) -> None:
        """Goes back to a snapshot, as far as its items are live again.

        Args:
            kept: :meth:`snapshot`.
            first_rows: Place in the snapshot → first row of the same block now.
        """
        ...


class UniformSampler:
    """Every live item alike.

    Args:
        capacity: Largest index + 1.
    """

    def __init__(self, capacity: int) -> None:
        self._live = np.zeros(capacity, bool)
        self._size = 0
        self._written = 0

    @property
    def size(self) -> int:
        return self._size

    def add(self, rows: Array, errors: Array) -> None:
        del errors
        if len(rows):
            self._live[rows] = True
            self._size += len(rows)
            self._written = max(self._written, int(rows.max()) + 1)

    def discard(self, rows: Array) -> None:
        self._size -= int(np.count_nonzero(self._live[rows]))
        self._live[rows] = False

    def clear(self, first: int, count: int) -> None:
        self._size -= int(np.count_nonzero(self._live[first : first + count]))
        self._live[first : first + count] = False

    def is_live(self, rows: Array) -> Array:
        return self._live[rows]

    def rows(self, rng: np.random.Generator, count: int) -> Array:
        """``[count]`` live rows: drawn among all written ones until enough of them live."""
        found = np.empty(0, np.int64)
        while (missing := count - len(found)) > 0:
            share = self._size / self._written
            drawn = rng.integers(self._written, size=int(missing / share * 1.1) + 8)
            found = np.concatenate([found, drawn[self._live[drawn]][:missing]])
        return found

    def draw(self, rng: np.random.Generator, count: int, updates: int) -> Drawn:
        del updates
        return Drawn(self.rows(rng, count), np.ones(count, np.float32))

    def update(self, rows: Array, errors: Array) -> None:
        """All items stay alike."""

    def snapshot(self, blocks: Array, count: int) -> Arrays:
        return {}

    def restore(self, kept: Arrays, first_rows: Mapping[int, int]) -> None:
        """There was nothing to keep."""


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
        """The largest p^α so far, which an item of unknown |δ| gets."""
        steps = prioritisation.importance_steps
        self._importance = (
            Linear(prioritisation.importance, prioritisation.importance_end, steps)
            if steps
            else Constant(prioritisation.importance)
        )

    @property
    def size(self) -> int:
        return self._items.size

    def add(self, rows: Array, errors: Array) -> None:
        self._items.add(rows, errors)
        self.update(rows, errors)

    def update(self, rows: Array, errors: Array) -> None:
        """Sets the priorities |δ| + ε of live items."""
        powers = (np.abs(errors.astype(np.float64)) + self._plan.epsilon) ** self._plan.exponent
        known = np.isfinite(powers)
        self.largest = max(self.largest, powers.max(initial=0.0, where=known))
        self._tree.set(rows, np.where(known, powers, self.largest))

    def discard(self, rows: Array) -> None:
        self._items.discard(rows)
        self._tree.set(rows, 0.0)

    def clear(self, first: int, count: int) -> None:
        self._items.clear(first, count)
        self._tree.set_range(first, np.zeros(count))

    def is_live(self, rows: Array) -> Array:
        return self._items.is_live(rows)

    def draw(self, rng: np.random.Generator, count: int, updates: int) -> Drawn:
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
        for place, first in first_rows.items():
            powers = kept["priorities"][place]
            rows = np.arange(first, first + len(powers))
            was_live = (powers > 0) & self._items.is_live(rows)
            self._tree.set(rows[was_live], powers[was_live])
        self.largest = float(kept["largest"][0])
