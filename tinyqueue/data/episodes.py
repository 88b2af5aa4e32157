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
        if not ended.any():
            self._returns += played.sum(0, np.float64)
            self._lengths += valid.sum(0, np.int64)
            return Episodes.none()
        # Row t of these sums what came before tick t: [T + 1, B].
        sums = np.vstack([np.zeros_like(self._returns), np.cumsum(played, 0, np.float64)])
        counts = np.vstack([np.zeros_like(self._lengths), np.cumsum(valid, 0, np.int64)])
        at, slots = np.nonzero(ended & valid)
        order = np.lexsort((at, slots))
        at, slots = at[order], slots[order]
        first = np.ones(len(at), bool)
        first[1:] = slots[1:] != slots[:-1]
        # The tick at which the episode began: the one after the slot's previous end.
        previous = np.where(first, 0, np.concatenate([[0], at[:-1] + 1]) if len(at) else at)
        carried = np.where(first, self._returns[slots], 0.0)
        carried_length = np.where(first, self._lengths[slots], 0)
        tick_s = (end_s - start_s) / max(ticks, 1)
        began = np.where(first, self._started_s[slots], start_s + previous * tick_s)
        done = Episodes.of(
            slots,
            carried + sums[at + 1, slots] - sums[previous, slots],
            carried_length + counts[at + 1, slots] - counts[previous, slots],
            np.maximum(start_s + (at + 1) * tick_s - began, 0.0),
        )
        self._returns += sums[-1]
        self._lengths += counts[-1]
        if len(at):
            last = np.ones(len(at), bool)
            last[:-1] = slots[1:] != slots[:-1]
            slot, end = slots[last], at[last] + 1
            self._returns[slot] = sums[-1, slot] - sums[end, slot]
            self._lengths[slot] = counts[-1, slot] - counts[end, slot]
            self._started_s[slot] = start_s + end * tick_s
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
