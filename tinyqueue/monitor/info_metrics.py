"""The environment's numbers of training episodes, as metrics: ``metrics.info``."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from tinyqueue.data.spaces import Array

WINDOW = 100
"""Episodes of a running mean, as of the returns."""
MEAN = "_mean"
"""Suffix of the mean over an episode's steps; the bare key is its last value."""


class InfoMetrics:
    """Collects the last values and means of finished episodes.

    Args:
        keys: The keys of ``metrics.info``, K of them.
        say: Called once per key that an episode had no number for.
    """

    def __init__(self, keys: Sequence[str], say: Callable[[str], None]) -> None:
        self._keys, self._say = tuple(keys), say
        self._columns: dict[str, list[float]] = {name: [] for name in self._names()}
        self._recent = {name: deque[float](maxlen=WINDOW) for name in self._columns}
        self._lacking = dict.fromkeys(self._keys, 0)
        self._episodes = 0

    def see(self, last: Array, mean: Array, episodes: int) -> None:
        """Takes in the episodes of a session batch.

        Args:
            last, mean: ``[E, K]``; or ``[E, 0]`` from a player that did not record any.
            episodes: E.
        """
        if not self._keys or not episodes:
            return
        self._episodes += episodes
        for place, key in enumerate(self._keys):
            for name, values in ((key, last), (key + MEAN, mean)):
                recorded = place < values.shape[1]
                column = values[:, place] if recorded else np.full(episodes, np.nan, np.float32)
                self._columns[name] += column.tolist()
                self._recent[name].extend(column[~np.isnan(column)].tolist())
            lacking = sum(map(np.isnan, self._columns[key][-episodes:]))
            if lacking and not self._lacking[key]:
                self._say(
                    f"metrics.info: {key!r} was missing from info, or was not one finite number, "
                    "in a whole episode; such episodes are counted, and null in episodes.jsonl"
                )
            self._lacking[key] += int(lacking)

    def take_columns(self) -> dict[str, list[float]]:
        """Name → a value per episode since the last call; empty without keys."""
        taken = self._columns
        self._columns = {name: [] for name in taken}
        return taken

    def means(self) -> dict[str, float]:
        """``info/<name>`` → mean over the last 100 episodes that had a number."""
        return {f"info/{name}": float(np.mean(v)) for name, v in self._recent.items() if v}

    def remarks(self) -> list[str]:
        """How many episodes lacked which number; empty if none did."""
        return [
            f"metrics.info: {key!r} was missing or no number in {count:,} of {self._episodes:,} "
            "training episodes"
            for key, count in self._lacking.items()
            if count
        ]

    def _names(self) -> Iterator[str]:
        for key in self._keys:
            yield key
            yield key + MEAN
