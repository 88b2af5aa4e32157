"""The interface of adders, and what they tell samplers about the items of a batch."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np

from tinyqueue.data.session import SessionBatch
from tinyqueue.data.spaces import Array
from tinyqueue.replay.samples import SequenceSample, TransitionSample


class Ready(NamedTuple):
    """Items that can be sampled from now on.

    Attributes:
        rows: ``[N]`` int64, the row at which each begins, which is its index.
        errors: ``[N]`` float64, |δ| by the player's Q values; NaN where it is not known.
    """

    rows: Array
    errors: Array


class Items(Protocol):
    """An adder: makes items from a stage's batches, and gathers samples of them.

    Its state for a stage between two batches is a track, which the replay holds.
    """

    @property
    def unfinished(self) -> int:
        """Items given up before they were complete."""
        ...

    def track(self) -> Any:
        """An empty track, for a stage with nothing held."""
        ...

    def add(self, track: Any, block: int, batch: SessionBatch) -> Ready:
        """Takes in the batch just written to ``block``; returns the items that are now complete."""
        ...

    def close(self, track: Any, block: int) -> Ready:
        """Ends a track at a gap; row 0 of ``block`` holds its final observations."""
        ...

    def last_rows(self, rows: Array) -> Array:
        """``[N]`` the last row that each item reads."""
        ...

    def gather(
        self, rows: Array, births: Array, weights: Array
    ) -> TransitionSample | SequenceSample:
        """The sample of ``[N]`` items."""
        ...


def shaped_rewards(rewards: Array, scale: float, clip: float | None) -> Array:
    """float32 rewards clipped to ±``clip``, then multiplied by ``scale``, as in ``impala``."""
    cut = rewards if clip is None else np.clip(rewards, -clip, clip)
    return cut if scale == 1.0 else cut * np.float32(scale)
