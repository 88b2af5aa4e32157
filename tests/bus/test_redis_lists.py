from __future__ import annotations

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyqueue.bus.redis_lists import in_hand_key, list_key, pack, unpack

scalars = st.text() | st.integers(-(2**63), 2**63 - 1)


@given(st.binary(), st.dictionaries(st.text(), st.text()), st.dictionaries(st.text(), scalars))
def test_what_is_packed_is_unpacked(body, properties, headers) -> None:
    assert unpack(pack(body, properties, headers)) == (body, properties, headers)


@given(st.binary())
def test_any_bytes_are_somebodys_message(frame) -> None:
    body, properties, headers = unpack(frame)

    assert isinstance(body, bytes)
    assert isinstance(properties, dict)
    assert isinstance(headers, dict)


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        msgpack.packb((2, {}, {}, b"of a later format")),
        msgpack.packb((1, {}, {}, "text")),
        msgpack.packb((1, [], {}, b"")),
        msgpack.packb((1, {}, {})),
        msgpack.packb((1, {}, {}, msgpack.ExtType(1, b"x"))),
        msgpack.packb((1, {7: "key that is no text"}, {}, b"")),
        pack(b"cut", {}, {})[:-1],
    ],
)
def test_a_frame_that_is_none_comes_back_whole(frame: bytes) -> None:
    assert unpack(frame) == (frame, {}, {})


def test_keys() -> None:
    assert list_key("pong") == "experience.pong"
    assert in_hand_key("pong", "c0", "l1", 2) == "tinyqueue:unacked:pong:c0:l1:2"
