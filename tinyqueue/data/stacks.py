"""Which frames make up a stack. Each frame travels and is stored once; a stack refers to rows.

The stack at a row holds the frames from k−1 … 0 ticks back, oldest first. Frames from before the
episode are replaced by its first frame, as at a reset.
"""

from __future__ import annotations

import numpy as np

from tinyqueue.data.names import EPISODE_STEPS, carried_frames
from tinyqueue.data.session import SessionBatch
from tinyqueue.data.spaces import Array


def ages(batch: SessionBatch) -> Array:
    """``[T+1, B]`` ticks since each row's episode began; 0 for its first observation.

    An invalid tick leads to the first row of the next episode. If tick 0 is invalid, row 0 is the
    last of an episode whose age did not travel: it counts as 0, and nothing in this batch
    bootstraps from it.
    """
    tick = np.arange(batch.ticks + 1)[:, None]
    begun = np.full((batch.ticks + 1, batch.slots), -1)
    np.copyto(begun[1:], tick[1:], where=~batch.valid)
    begun = np.maximum.accumulate(begun, axis=0)
    at_start: Array = batch.carry[EPISODE_STEPS]
    result: Array = np.where(begun < 0, at_start + tick, tick - begun)
    return result


def stack_rows(batch: SessionBatch, stack: int) -> Array:
    """``[T+1, B, k]``: the rows that make up each stack, oldest first.

    Args:
        batch: T ticks of B slots with ``episode_steps`` in its carry.
        stack: k.

    Returns:
        Indices into :func:`with_frames_before`: k−1+t is row t of the batch, and smaller ones
        are the carried frames.
    """
    tick = np.arange(batch.ticks + 1)[:, None, None]
    back = np.minimum(ages(batch)[..., None], np.arange(stack - 1, -1, -1))
    rows: Array = tick + (stack - 1) - back
    return rows


def with_frames_before(batch: SessionBatch, path: str) -> Array:
    """``[k−1+T+1, B, *frame]``: the carried frames, then the rows of the batch."""
    before = batch.carry[carried_frames(path)].swapaxes(0, 1)
    return np.concatenate([before, batch.observations[path]])
