"""The frames of a film in the making, compressed so that a long episode fits into memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import lz4.block
import numpy as np

from tinyqueue.data.spaces import Array


class PackedFrames(list[Any]):
    """A list of frames ``[H, W, 3]`` uint8, each held as lz4.

    Rendered images are mostly flat: a frame of CartPole shrinks from 720 kB to 4 kB and one of
    Pong from 101 kB to 1 kB (measured), so 27,000 steps of Pong, 2.7 GB, need 25 MB. It is
    a list because Gymnasium appends to one and MoviePy reads nothing else.
    """

    def append(self, frame: Array) -> None:
        """Adds a frame ``[H, W, 3]``, converted to uint8."""
        frame = np.ascontiguousarray(frame, np.uint8)
        super().append((frame.shape, lz4.block.compress(frame, store_size=False)))

    def __getitem__(self, index: Any) -> Any:
        return _unpacked(super().__getitem__(index))

    def __iter__(self) -> Iterator[Array]:
        return map(_unpacked, super().__iter__())


def _unpacked(packed: tuple[tuple[int, ...], bytes]) -> Array:
    shape, data = packed
    raw = lz4.block.decompress(data, uncompressed_size=int(np.prod(shape)))
    return np.frombuffer(raw, np.uint8).reshape(shape)
