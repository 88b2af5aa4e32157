"""What a network sees of a session batch: its rows, or stacks that a graph gathers from frames.

Frames go into a graph once. Gathering 640 stacks of four 84 × 84 frames there takes 2 ms, and
making them in NumPy and handing them over would copy four times the bytes twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinyqueue.data.session import SessionBatch
from tinyqueue.data.spaces import Array, Space
from tinyqueue.data.stacks import stack_rows, with_frames_before


class Observed:
    """Makes arrays of batches, and of these arrays, as tensors, what the network sees.

    Args:
        observations: The network's, with its stack.

    Attributes:
        count: Arrays per batch.
    """

    def __init__(self, observations: Space) -> None:
        self._space = observations
        self._stack = max(leaf.stack for leaf in observations.values())
        self.count = len(observations) + (self._stack > 1)

    def arrays(self, batch: SessionBatch) -> list[Array]:
        """Per path ``[T+1, B, *obs]``.

        With a stack of k frames: per path ``[k−1+T+1, B, *frame]``, then ``[T+1, B, k]`` int32,
        the rows of each stack. Arrays of several batches may be joined along B.
        """
        if self._stack == 1:
            return [batch.observations[path] for path in self._space]
        frames = [with_frames_before(batch, path) for path in self._space]
        return [*frames, stack_rows(batch, self._stack).astype(np.int32)]

    def nothing(self, ticks: int, slots: int) -> list[Array]:
        """Zeros of these shapes for T ticks of B slots."""
        stack = self._stack
        rows = [
            np.zeros((stack + ticks, slots, *leaf.frame.shape), leaf.dtype)
            for leaf in self._space.values()
        ]
        if stack > 1:
            rows.append(np.zeros((ticks + 1, slots, stack), np.int32))
        return rows

    def tensors(self, given: Sequence[Any]) -> dict[str, Any]:
        """path → ``[T+1, B, *obs]`` of the network's space, inside a graph."""
        import tensorflow as tf

        if self._stack == 1:
            return dict(zip(self._space, given, strict=True))
        *frames, rows = given
        slots = tf.shape(rows)[1]
        # Places in [rows · B].
        places = rows * slots + tf.range(slots)[None, :, None]
        return {
            path: tf.gather(tf.reshape(each, [-1, *each.shape[2:]]), places)
            for path, each in zip(self._space, frames, strict=True)
        }
