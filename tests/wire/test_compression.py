"""Given compressed bytes and the length that their sender declares."""

from __future__ import annotations

import tracemalloc

import lz4.frame
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from tinyqueue.errors import MessageError
from tinyqueue.wire.compression import CODECS, compress, decompress

TEXT = b"frame after frame after frame" * 100


@given(data=st.binary(max_size=4096), codec=st.sampled_from(CODECS))
def test_what_was_compressed_comes_back(data: bytes, codec: str) -> None:
    assert decompress(codec, memoryview(compress(codec, data)), len(data)) == data


@pytest.mark.parametrize("codec", ["lz4", "zstd"])
def test_repetition_becomes_smaller(codec: str) -> None:
    assert len(compress(codec, TEXT)) < len(TEXT) / 10


def test_an_unknown_codec_is_the_callers_mistake_when_compressing() -> None:
    with pytest.raises(ValueError, match="gzip"):
        compress("gzip", TEXT)


def test_an_unknown_codec_is_the_senders_mistake_when_decompressing() -> None:
    with pytest.raises(MessageError, match="not one of none, lz4, zstd") as refused:
        decompress("gzip", memoryview(TEXT), len(TEXT))
    assert refused.value.reason == "compression"


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("lie", [-1, 1, -len(TEXT), 10**6])
def test_a_length_that_is_not_the_true_one_is_refused(codec: str, lie: int) -> None:
    with pytest.raises(MessageError) as refused:
        decompress(codec, memoryview(compress(codec, TEXT)), len(TEXT) + lie)
    assert refused.value.reason == "compression"


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("cut", [1, 4, 20])
def test_a_frame_without_its_end_is_refused(codec: str, cut: int) -> None:
    with pytest.raises(MessageError):
        decompress(codec, memoryview(compress(codec, TEXT)[:-cut]), len(TEXT))


@pytest.mark.parametrize("codec", CODECS)
def test_bytes_after_the_frame_are_refused(codec: str) -> None:
    with pytest.raises(MessageError):
        decompress(codec, memoryview(compress(codec, TEXT) + b"more"), len(TEXT))


@pytest.mark.parametrize("codec", ["lz4", "zstd"])
def test_bytes_that_are_no_frame_are_refused(codec: str) -> None:
    with pytest.raises(MessageError):
        decompress(codec, memoryview(TEXT), len(TEXT))


def test_a_zstd_frame_that_hides_its_length_is_refused() -> None:
    hidden = zstandard.ZstdCompressor(write_content_size=False).compress(TEXT)

    with pytest.raises(MessageError, match="header 2900"):
        decompress("zstd", memoryview(hidden), len(TEXT))


@pytest.mark.parametrize("codec", ["lz4", "zstd"])
def test_a_bomb_is_refused_before_it_unfolds(codec: str) -> None:
    zeros = bytes(2**26)
    if codec == "zstd":
        bomb = zstandard.compress(zeros)
    else:
        bomb = lz4.frame.compress(zeros, store_size=False)
    del zeros

    tracemalloc.start()
    try:
        with pytest.raises(MessageError):
            decompress(codec, memoryview(bomb), 1000)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 3 * len(bomb) + 1000 < 2**20


def test_a_few_bytes_that_claim_to_be_many_cost_nothing() -> None:
    """The lz4 library allocates all that it may return before it looks."""
    few = memoryview(lz4.frame.compress(TEXT, store_size=False))

    tracemalloc.start()
    try:
        with pytest.raises(MessageError, match="cannot hold 67108864"):
            decompress("lz4", few, 2**26)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 100_000
