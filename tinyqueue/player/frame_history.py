"""The latest frames of a stage: rows of a batch, and the stacks that its policy sees."""

from __future__ import annotations

import numpy as np

from tinyqueue.data.names import carried_frames
from tinyqueue.data.spaces import Array, Arrays, Space
from tinyqueue.envs.spaces import empty


class FrameHistory:
    """Rows of single frames, preceded by the k−1 frames before row 0.

    A stack is k successive rows: a view, unless some slot's episode is so young that its first
    frame must be repeated.

    Args:
        space: Space of one frame.
        ticks, slots: T and B.
        stack: k, frames per observation; 1 leaves observations unstacked.
    """

    def __init__(self, space: Space, ticks: int, slots: int, stack: int) -> None:
        self._ticks, self._stack = ticks, stack
        self._frames = empty(space, stack + ticks, slots)
        before = stack - 1
        self.observations: Arrays = {path: frames[before:] for path, frames in self._frames.items()}
        """path → ``[T+1, B, *frame]``, the rows of a batch."""
        self.rows: list[Arrays] = [
            {path: rows[tick] for path, rows in self.observations.items()}
            for tick in range(ticks + 1)
        ]
        """Row by row: path → ``[B, *frame]``."""
        self._stacks = [
            {
                path: frames[tick : tick + stack].swapaxes(0, 1)
                for path, frames in self._frames.items()
            }
            for tick in range(ticks)
        ]
        self._slots = np.arange(slots)[:, None]
        self._back = np.arange(before, -1, -1)
        self._ages = np.zeros(slots, np.int64)

    def begin(self) -> None:
        """Moves the last row to the front, preceded by the other frames of its stack."""
        for frames in self._frames.values():
            frames[: self._stack] = frames[self._ticks :]

    def before(self) -> Arrays:
        """The frames a batch carries: name → ``[B, k−1, *frame]`` before row 0; empty if k is 1."""
        if self._stack == 1:
            return {}
        before = self._stack - 1
        return {
            carried_frames(path): np.ascontiguousarray(frames[:before].swapaxes(0, 1))
            for path, frames in self._frames.items()
        }

    def seen(self, tick: int) -> Arrays:
        """Path → ``[B, k, *frame]``: the stacks at one row, oldest frame first.

        For k > 1 only.
        """
        if self._ages.min() >= self._stack - 1:
            return self._stacks[tick]
        back = np.minimum(self._ages[:, None], self._back)
        rows = tick + self._stack - 1 - back
        return {path: frames[rows, self._slots] for path, frames in self._frames.items()}

    def advance(self, ended: Array) -> None:
        """Advances by a tick; slots in ``ended`` ``[B]`` now show an episode's first row."""
        self._ages += 1
        self._ages[ended] = 0
