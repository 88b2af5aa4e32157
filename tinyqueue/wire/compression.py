"""Compression inside the payload, with the length declared and checked before any allocation.

The broker library's own compression inflates whatever a sender chose before anyone can check
it (204 kB became 200 MB in a test), so it is never used.
"""

from __future__ import annotations

import lz4.frame
import zstandard

from tinyqueue.errors import MessageError

CODECS = ("none", "lz4", "zstd")
_ZSTD_LEVEL = 1  # the fastest: a player's core is needed for playing
_LZ4_MOST = 255  # the highest ratio that lz4 can reach


def compress(codec: str, data: bytes) -> bytes:
    """The data compressed by one of :data:`CODECS`. Raises ValueError for any other."""
    if codec == "none":
        return data
    if codec == "lz4":
        packed: bytes = lz4.frame.compress(data, store_size=True)
        return packed
    if codec == "zstd":
        return zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compress(data)
    raise ValueError(f"unknown codec {codec!r}; use one of {', '.join(CODECS)}")


def decompress(codec: str, data: memoryview, raw_bytes: int) -> bytes | memoryview:
    """Exactly ``raw_bytes`` bytes; the caller has checked that number against its limit.

    Allocates ``raw_bytes`` and, for lz4, two copies of the input that did not fit.

    Raises:
        MessageError: ``compression``: the data is not exactly one frame of that codec and length.
    """
    if codec == "none":
        raw: bytes | memoryview = data
    elif codec == "lz4":
        raw = _unlz4(data, raw_bytes)
    elif codec == "zstd":
        raw = _unzstd(data, raw_bytes)
    else:
        raise MessageError("compression", f"codec {codec[:32]!r} is not one of {', '.join(CODECS)}")
    if len(raw) != raw_bytes:
        raise MessageError("compression", f"{raw_bytes} bytes declared, {len(raw)} found")
    return raw


def _unlz4(data: memoryview, raw_bytes: int) -> bytes:
    if raw_bytes > _LZ4_MOST * len(data):
        raise MessageError("compression", f"{len(data)} bytes of lz4 cannot hold {raw_bytes}")
    decompressor = lz4.frame.LZ4FrameDecompressor()
    try:
        # One byte more than declared: lz4 reads the end mark only while there is room.
        raw: bytes = decompressor.decompress(data, max_length=raw_bytes + 1)
    except (RuntimeError, ValueError, EOFError) as error:
        raise MessageError("compression", f"not an lz4 frame: {error}") from None
    if not decompressor.eof or decompressor.unused_data:
        raise MessageError("compression", "not exactly one lz4 frame of the declared length")
    return raw


def _unzstd(data: memoryview, raw_bytes: int) -> bytes:
    try:
        declared = zstandard.frame_content_size(data)
        if declared != raw_bytes:
            raise MessageError(
                "compression", f"the zstd frame says {declared} bytes, the header {raw_bytes}"
            )
        return zstandard.ZstdDecompressor().decompress(data, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise MessageError("compression", f"not a zstd frame: {error}") from None
