"""Numbers that an environment gives in its ``info``, per finished episode: ``metrics.info``."""

from __future__ import annotations

import numpy as np

from tinyqueue.data.spaces import Array

MOST_KEYS = 32
MOST_MAGNITUDE = 1e30
"""A larger number counts as none. The sum of a hundred is finite in float32."""


class InfoAccumulator:
    """Last value and mean of K numbers over each episode, per slot, across session batches.

    Args:
        slots: B, the number of environments side by side.
        keys: K.
    """

    def __init__(self, slots: int, keys: int) -> None:
        self._sums = np.zeros((slots, keys), np.float64)
        self._counts = np.zeros((slots, keys), np.int64)
        self._last = np.full((slots, keys), np.nan, np.float64)

    def add(self, values: Array, ended: Array, valid: Array) -> tuple[Array, Array]:
        """Adds T ticks, and returns the numbers of the episodes that ended in them.

        Args:
            values: ``[T, B, K]`` float64, NaN where there is none.
            ended: ``[T, B]`` bool, terminated or truncated.
            valid: ``[T, B]`` bool, false on an autoreset tick, which counts for nothing.

        Returns:
            ``[E, K]`` float32 the last value of each episode, and ``[E, K]`` float32 the mean of
            its values; both NaN where it had none. Episodes are in order of time and slot, as
            those of :class:`~tinyqueue.data.episodes.EpisodeAccumulator`.
        """
        given = ~np.isnan(values) & valid[:, :, None]
        at, slots = np.nonzero(ended & valid)
        last, mean = (np.full((len(at), values.shape[2]), np.nan, np.float32) for _ in range(2))
        began = np.zeros(values.shape[1], np.int64)
        for episode, (tick, slot) in enumerate(zip(at.tolist(), slots.tolist(), strict=True)):
            ticks = slice(began[slot], tick + 1)
            self._count(slot, values[ticks, slot], given[ticks, slot])
            last[episode] = self._last[slot]
            has_some = self._counts[slot] > 0
            mean[episode, has_some] = self._sums[slot, has_some] / self._counts[slot, has_some]
            self._sums[slot], self._counts[slot], self._last[slot] = 0.0, 0, np.nan
            began[slot] = tick + 1
        for slot, start in enumerate(began.tolist()):
            self._count(slot, values[start:, slot], given[start:, slot])
        return last, mean

    def _count(self, slot: int, values: Array, given: Array) -> None:
        """Adds ``[ticks, K]`` values of a slot to what its episode has so far."""
        keys = np.flatnonzero(given.any(axis=0))
        if not len(keys):
            return
        values, given = values[:, keys], given[:, keys]
        self._sums[slot, keys] += np.where(given, values, 0.0).sum(axis=0)
        self._counts[slot, keys] += np.count_nonzero(given, axis=0)
        newest = len(given) - 1 - given[::-1].argmax(axis=0)
        self._last[slot, keys] = values[newest, np.arange(len(keys))]
