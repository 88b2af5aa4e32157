"""Sequences of a stage that have begun and wait for the ticks they need."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tinyqueue.data.spaces import Array
from tinyqueue.replay.tail import Tail


class Begun(NamedTuple):
    """Sequences as columns ``[P]`` int64.

    Attributes:
        rows, births: Where each begins.
        slots: The slot that plays it.
        starts: Its first tick, counted since the stage's track began.
        paddings: Masked ticks in front.
        lengths: Ticks after the padding: those wanted, or fewer once an end is known.
    """

    rows: Array
    births: Array
    slots: Array
    starts: Array
    paddings: Array
    lengths: Array


class Unfinished:
    """The track of one stage.

    Args:
        tail: Finds the |δ| of its ticks.
    """

    def __init__(self, tail: Tail) -> None:
        self.tail = tail
        self.ticks = 0
        """Ticks taken in so far."""
        self._waiting = Begun(*np.zeros((6, 0), np.int64))

    def extend(self, begun: Begun, ended: Array) -> Begun:
        """Takes in ``[T, B]`` ticks in which sequences begin; returns the complete sequences.

        A sequence is complete once the row after its last tick is there too.
        """
        ticks = len(ended)
        waiting = Begun(*map(np.concatenate, zip(self._waiting, begun, strict=True)))
        never = np.iinfo(np.int64).max // 2
        ends = np.where(ended, np.arange(ticks)[:, None], never)
        next_end = np.minimum.accumulate(ends[::-1], axis=0)[::-1]
        here = np.maximum(waiting.starts - self.ticks, 0)
        to_end = self.ticks + next_end[here, waiting.slots] + 1 - waiting.starts
        waiting = waiting._replace(lengths=np.minimum(waiting.lengths, to_end))
        self.ticks += ticks
        is_done = waiting.starts + waiting.lengths < self.ticks
        self._waiting = Begun(*(column[~is_done] for column in waiting))
        return Begun(*(column[is_done] for column in waiting))

    def close(self) -> Begun:
        """All waiting sequences, cut short; the closing block holds the row after the last tick."""
        waiting = self._waiting
        left = np.minimum(waiting.lengths, self.ticks - waiting.starts)
        return waiting._replace(lengths=left)
