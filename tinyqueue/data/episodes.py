"""Episode statistics: the episodes that ended in a session batch, and a running mean of them."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from tinyqueue.data.spaces import Array


def _no_info() -> Array:
    return np.zeros((0, 0), np.float32)


@dataclass(frozen=True)
class Episodes:
    """The episodes that finished in one session batch, as columns of equal length E.

    Attributes:
        slots: ``[E]`` int32, the slot that played the episode.
        returns: ``[E]`` float32, undiscounted sum of the environment's own rewards.
        lengths: ``[E]`` int32, in env steps.
        seconds: ``[E]`` float32, wall time on the player from the first tick to the last.
        info_last, info_mean: ``[E, K]`` float32, the environment's own numbers
            (:mod:`tinyqueue.data.info_values`); K is 0 where none are recorded.
    """

    slots: Array
    returns: Array
    lengths: Array
    seconds: Array
    info_last: Array = field(default_factory=_no_info)
    info_mean: Array = field(default_factory=_no_info)

    def __len__(self) -> int:
        return len(self.slots)

    @classmethod
    def none(cls) -> Episodes:
        """Columns of length 0."""
        return cls.of([], [], [], [])

    @classmethod
    def of(cls, slots: object, returns: object, lengths: object, seconds: object) -> Episodes:
        """Columns from anything array-like, converted to the dtypes on the wire."""
        return cls(
            np.asarray(slots, np.int32),
            np.asarray(returns, np.float32),
            np.asarray(lengths, np.int32),
            np.asarray(seconds, np.float32),
        )


class EpisodeAccumulator:
    """Adds up returns and lengths per slot across session batches.

    Args:
        slots: B, the number of environments side by side.
    """

    def __init__(self, slots: int) -> None:
        self._returns = np.zeros(slots, np.float64)
        self._lengths = np.zeros(slots, np.int64)
        self._started_s = np.zeros(slots, np.float64)

    @property
    def lengths(self) -> Array:
        """``[B]`` int64: env steps played so far in each slot's current episode."""
        return self._lengths

    def add(
        self,
        rewards: Array,
        ended: Array,
        valid: Array,
        start_s: float,
        end_s: float,
    ) -> Episodes:
        """Adds T ticks and returns the episodes that ended in them, in order of time.

        Args:
            rewards: ``[T, B]`` float32.
            ended: ``[T, B]`` bool, terminated or truncated.
            valid: ``[T, B]`` bool, false on an autoreset tick, which counts for nothing.
            start_s, end_s: The player's clock before the first and after the last tick; times
                in between are interpolated.
        """
        ticks = len(rewards)
        played = rewards * valid
        returns, lengths = played.sum(0, np.float64), valid.sum(0, np.int64)
        ends = ended & valid
        some = np.flatnonzero(ends.any(0))
        if not len(some):
            self._returns += returns
            self._lengths += lengths
            return Episodes.none()
        # Of K slots in which an episode ended, ordered by slot, then by time.
        column, at = np.nonzero(ends[:, some].T)
        slots = some[column]
        # Row t of these sums what came before tick t: [T + 1, K].
        sums, counts = _sums(played[:, some], np.float64), _sums(valid[:, some], np.int64)
        first = np.ones(len(at), bool)
        first[1:] = column[1:] != column[:-1]
        # The tick at which the episode began: the one after the slot's previous end.
        previous = np.where(first, 0, np.concatenate([[0], at[:-1] + 1]))
        carried = np.where(first, self._returns[slots], 0.0)
        carried_length = np.where(first, self._lengths[slots], 0)
        tick_s = (end_s - start_s) / max(ticks, 1)
        began = np.where(first, self._started_s[slots], start_s + previous * tick_s)
        done = Episodes.of(
            slots,
            carried + sums[at + 1, column] - sums[previous, column],
            carried_length + counts[at + 1, column] - counts[previous, column],
            np.maximum(start_s + (at + 1) * tick_s - began, 0.0),
        )
        self._returns += returns
        self._lengths += lengths
        last = np.ones(len(at), bool)
        last[:-1] = column[1:] != column[:-1]
        end = at[last] + 1
        self._returns[some] = sums[-1] - sums[end, column[last]]
        self._lengths[some] = counts[-1] - counts[end, column[last]]
        self._started_s[some] = start_s + end * tick_s
        by_time = np.lexsort((slots, at))
        return Episodes(
            done.slots[by_time], done.returns[by_time], done.lengths[by_time], done.seconds[by_time]
        )

    def begin(self, now_s: float) -> None:
        """Starts an episode in every slot.

        Args:
            now_s: The player's clock.
        """
        self._returns[:] = 0
        self._lengths[:] = 0
        self._started_s[:] = now_s


class RunningReturns:
    """Mean return and length of the last ``window`` episodes.

    Attributes:
        count: Episodes added so far, those outside the window included.
    """

    def __init__(self, window: int = 100) -> None:
        self._returns: deque[float] = deque(maxlen=window)
        self._lengths: deque[int] = deque(maxlen=window)
        self.count = 0

    def add(self, episodes: Episodes) -> None:
        """Takes in finished episodes; the oldest beyond the window are forgotten."""
        self._returns.extend(episodes.returns.tolist())
        self._lengths.extend(episodes.lengths.tolist())
        self.count += len(episodes)

    @property
    def size(self) -> int:
        """How many episodes the means are over."""
        return len(self._returns)

    @property
    def is_full(self) -> bool:
        """Whether the means are over ``window`` episodes."""
        return len(self._returns) == self._returns.maxlen

    @property
    def mean_return(self) -> float:
        """Mean undiscounted return; NaN before the first episode."""
        return float(np.mean(self._returns)) if self._returns else float("nan")

    @property
    def mean_length(self) -> float:
        """Mean length in env steps; NaN before the first episode."""
        return float(np.mean(self._lengths)) if self._lengths else float("nan")


def _sums(values: Array, dtype: type[np.generic]) -> Array:
    """``[T + 1, K]``: row t sums the rows of ``[T, K]`` before t."""
    sums = np.zeros((len(values) + 1, values.shape[1]), dtype)
    np.cumsum(values, 0, dtype, out=sums[1:])
    return sums
