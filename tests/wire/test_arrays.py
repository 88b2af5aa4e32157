"""Given a frame, honest or not."""

from __future__ import annotations

import struct
import tracemalloc
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tinyqueue.data.spaces import Array
from tinyqueue.errors import MessageError
from tinyqueue.wire.arrays import pack, unpack
from tinyqueue.wire.limits import SESSION_LIMITS, Limits

DTYPES = (
    "bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64",
    "float16", "float32", "float64",
)  # fmt: skip

ARRAYS = st.sampled_from(DTYPES).flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=5, max_side=4))
)
VALUES = st.dictionaries(
    st.text(max_size=8).filter(lambda name: name != "arrays"),
    st.one_of(st.booleans(), st.integers(0, 2**63 - 1), st.text(max_size=8), st.floats()),
    max_size=5,
)


def _framed(head: Any, *data: bytes) -> bytes:
    """A frame with any head and any array bytes, padded as a frame must be."""
    packed = head if isinstance(head, bytes) else msgpack.packb(head)
    body = struct.pack(">BI", 0xC6, len(packed)) + packed
    for one in data:
        body += b"\xc0" * (-(len(body) + 5) % 8) + struct.pack(">BI", 0xC6, len(one)) + one
    return body


def _reason(body: bytes, limits: Limits = SESSION_LIMITS) -> str:
    with pytest.raises(MessageError) as refused:
        unpack(body, limits)
    return refused.value.reason


@given(values=VALUES, arrays=st.dictionaries(st.text(max_size=8), ARRAYS, max_size=5))
def test_values_and_arrays_come_back_bit_for_bit(
    values: dict[str, Any], arrays: dict[str, Array]
) -> None:
    found_values, found = unpack(pack(values, arrays), SESSION_LIMITS)

    assert repr(found_values) == repr(values)
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        assert found[name].shape == array.shape
        assert found[name].tobytes() == array.tobytes()


def test_arrays_are_aligned_read_only_views_of_the_body() -> None:
    body = pack({}, {"flag": np.array([True]), "x": np.arange(5.0), "y": np.arange(3)})

    _, found = unpack(body, SESSION_LIMITS)

    for array in found.values():
        assert array.flags.aligned
        assert not array.flags.writeable
        assert not array.flags.owndata


def test_arrays_in_a_writable_buffer_are_read_only_too() -> None:
    _, found = unpack(memoryview(bytearray(pack({}, {"x": np.arange(3)}))), SESSION_LIMITS)

    assert not found["x"].flags.writeable


def test_an_array_with_strides_travels_as_it_reads() -> None:
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4).swapaxes(0, 2)[::2]

    _, found = unpack(pack({}, {"x": array}), SESSION_LIMITS)

    np.testing.assert_array_equal(found["x"], array)


def test_any_msgpack_library_reads_a_frame_as_a_stream_of_bins() -> None:
    stream = msgpack.Unpacker()
    stream.feed(pack({"n": 7}, {"x": np.array([1, 2], np.uint8), "y": np.array([3], np.uint8)}))

    head, *data = [item for item in stream if item is not None]

    assert msgpack.unpackb(head) == {"n": 7, "arrays": [["x", 2, [2]], ["y", 2, [1]]]}
    assert data == [b"\x01\x02", b"\x03"]


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((3, 0), np.float32),
        np.zeros((1,) * 9, np.float32),
        np.zeros(1, ">f4"),
        np.zeros(1, np.complex64),
        np.array(["text"]),
        np.array([object()]),
    ],
    ids=["empty", "nine-axes", "big-endian", "complex", "text", "object"],
)
def test_an_array_that_cannot_travel_is_named(array: Array) -> None:
    with pytest.raises(ValueError, match="'camera'"):
        pack({}, {"camera": array})


@pytest.mark.parametrize(
    ("entry", "data", "reason"),
    [
        (["x", 11, [2]], bytes(4), "malformed"),
        (["x", 11, [2]], bytes(12), "shape"),
        (["x", 11, [0]], b"", "shape"),
        (["x", 11, [-2]], bytes(8), "shape"),
        (["x", 11, [-1, -2]], bytes(8), "shape"),
        (["x", 11, [2.0]], bytes(8), "shape"),
        (["x", 11, [True]], bytes(4), "shape"),
        (["x", 11, [2**63, 2]], bytes(8), "malformed"),
        (["x", 11, [2**32, 2**32]], bytes(8), "malformed"),
        (["x", 11, [1] * 9], bytes(4), "shape"),
        (["x", 11, None], bytes(4), "malformed"),
        (["x", 0, [1]], bytes(4), "dtype"),
        (["x", 13, [1]], bytes(4), "dtype"),
        (["x", True, [1]], bytes(1), "dtype"),
        (["x", "float32", [1]], bytes(4), "dtype"),
        (["x", "O", [1]], bytes(8), "dtype"),
        (["x", 1, [2]], b"\x00\x02", "dtype"),
        ([b"x", 2, [1]], b"\x00", "malformed"),
        ([7, 2, [1]], b"\x00", "malformed"),
        (["x", 2], b"\x00", "malformed"),
        ("x", b"\x00", "malformed"),
    ],
)
def test_a_listed_array_that_lies_is_refused(entry: Any, data: bytes, reason: str) -> None:
    assert _reason(_framed({"arrays": [entry]}, data)) == reason


def test_the_same_frame_without_a_lie_is_taken() -> None:
    _, found = unpack(_framed({"arrays": [["x", 11, [2]]]}, bytes(8)), SESSION_LIMITS)

    assert found["x"].tolist() == [0.0, 0.0]


def test_the_same_name_twice_is_refused() -> None:
    entry = ["x", 2, [1]]

    assert _reason(_framed({"arrays": [entry, entry]}, b"\x01", b"\x02")) == "malformed"


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\xc1",
        b"\x81\xa1x",
        b"\x80\x80",
        b"\x93\x01\x02\x03",
        b"\x81\x01\x02",
        b"\x81\xc4\x01x\x02",
        b"\x81\xa1x\xc4\x01\x00",
        b"\x81\xa1x\xd4\x05\x00",
        b"\x81\xa1x\xd6\xff\x00\x00\x00\x00",
        b"\x81\xa1\xff\x01",
        b"\x81\x90\x01",
        b"\x81\xa1x\xdd\xff\xff\xff\xff",
        b"\x81\xa1x\xdf\xff\xff\xff\xff",
        b"\x81\xa1x\xdb\xff\xff\xff\xff",
        b"\x91" * 2000 + b"\x90",
    ],
    ids=[
        "nothing", "reserved", "torn", "two", "a list", "number key", "bytes key", "bytes",
        "extension", "timestamp", "not utf-8", "list key", "endless list", "endless map",
        "endless text", "too deep",
    ],
)  # fmt: skip
def test_a_head_that_is_no_small_map_is_refused(head: bytes) -> None:
    assert _reason(_framed(head)) == "malformed"


def test_a_head_without_arrays_is_refused() -> None:
    assert _reason(_framed({"arrays": 3})) == "malformed"
    assert _reason(_framed({})) == "malformed"


def test_limits_are_limits() -> None:
    entries = [[str(n), 2, [1]] for n in range(3)]
    three = _framed({"arrays": entries}, b"a", b"b", b"c")

    assert len(unpack(three, Limits(arrays=3))[1]) == 3
    assert _reason(three, Limits(arrays=2)) == "too-large"
    assert _reason(three, Limits(head_bytes=8)) == "too-large"
    assert len(unpack(three, Limits(items=6))[1]) == 3
    assert _reason(three, Limits(items=5)) == "malformed"  # "arrays" has six letters
    assert _reason(_framed({"arrays": [], "x": [0] * 7}), Limits(items=6)) == "malformed"
    assert _reason(_framed({"arrays": [], "x": dict.fromkeys("abcdefg")}), Limits(items=6))


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_torn_body_is_refused(cut: int) -> None:
    body = pack({"n": 1}, {"x": np.arange(4), "y": np.arange(2, dtype=np.uint8)})

    assert _reason(body[:-cut]) in {"malformed", "shape"}


def test_bytes_after_the_last_array_and_false_padding_are_refused() -> None:
    body = pack({"n": 1}, {"x": np.arange(4)})
    assert b"\xc0" in body

    assert _reason(body + b"\xc0") == "malformed"
    assert _reason(body.replace(b"\xc0", b"\x00")) == "shape"


@pytest.mark.parametrize(
    "head",
    [
        b"\x81\xa1x" + b"\x80" * (2**18 - 3),
        b"\x81\xa1x\xdc\x0f\xff" + b"\x80" * (2**18 - 6),
        b"\x81\xa1x" + b"\xdc\x0f\xff" * 1000 + b"\x90",
        b"\x81\xa1x\xdd\x02\x00\x00\x00" + b"\x90",
        b"\x81\xa1x" + (b"\xdc\x0f\xff" + b"\xcb3333!!!!" * 4095) * 7,
    ],
    ids=["maps", "a list of maps", "lists in lists", "a claim", "floats"],
)
def test_no_head_costs_more_than_its_share(head: bytes) -> None:
    body = _framed(head)

    tracemalloc.start()
    try:
        with pytest.raises(MessageError):
            unpack(body, SESSION_LIMITS)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak <= SESSION_LIMITS.raw_bytes
