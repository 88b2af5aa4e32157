"""The stacks that a policy sees where frames come one at a time: in evaluation and ``act``."""

from __future__ import annotations

import numpy as np

from tinyqueue.data.spaces import Array, Arrays, Space


def unseen(space: Space, slots: int, stack: int) -> Arrays:
    """Zeros to begin with, path → ``[B, k, *frame]``; nothing when k is 1.

    Args:
        space: Of one frame.
        slots: B.
        stack: k.
    """
    if stack == 1:
        return {}
    return {path: np.zeros((slots, stack, *leaf.shape), leaf.dtype) for path, leaf in space.items()}


def with_newest(stacks: Arrays, frames: Arrays, begun: Array) -> Arrays:
    """The stacks one frame on: the oldest gone, the newest last.

    Args:
        stacks: path → ``[B, k, *frame]``; empty when policies see single frames.
        frames: path → ``[B, *frame]``.
        begun: ``[B]`` bool, where the frame is an episode's first and fills the whole stack.

    Returns:
        New arrays, or ``frames`` themselves when there are no stacks.
    """
    if not stacks:
        return frames
    result = {}
    for path, frame in frames.items():
        newest = frame[:, None]
        result[path] = np.concatenate([stacks[path][:, 1:], newest], axis=1)
        result[path][begun] = newest[begun]
    return result
