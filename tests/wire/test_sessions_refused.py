"""Given session messages that lie."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinyqueue.data.session import SessionBatch
from tinyqueue.data.spaces import Array, Arrays
from tinyqueue.errors import MessageError
from tinyqueue.wire.arrays import pack, unpack
from tinyqueue.wire.limits import SESSION_LIMITS, Limits
from tinyqueue.wire.sessions import Encoded, decode_session, encode_session

Make = Callable[..., SessionBatch]


@pytest.mark.parametrize(
    ("lie", "reason"),
    [
        ({"schema": 0}, "schema"),
        ({"schema": 2}, "schema"),
        ({"schema": "1"}, "header"),
        ({"schema": None}, "header"),
        ({"codec": "gzip"}, "compression"),
        ({"codec": "lz4"}, "compression"),
        ({"codec": "zstd"}, "compression"),
        ({"codec": 3}, "header"),
        ({"raw_bytes": 0}, "compression"),
        ({"raw_bytes": -1}, "header"),
        ({"raw_bytes": 2**40}, "too-large"),
        ({"raw_bytes": 1e3}, "header"),
        ({"experiment": "pong"}, "header"),
        ({"run": b"\xff"}, "header"),
        ({"policy_version": 56}, "header"),
        ({"spec_version": 0}, "header"),
        ({"player": "someone else"}, "header"),
        ({"ticks": 9}, "header"),
        ({"slots": [4]}, "header"),
        ({"env_steps": 10**6}, "header"),
    ],
)
def test_message_headers_that_lie_are_refused(
    make_batch: Make, lie: dict[str, Any], reason: str
) -> None:
    encoded = encode_session(make_batch())

    with pytest.raises(MessageError) as refused:
        decode_session(encoded.body, encoded.headers | lie)

    assert refused.value.reason == reason


def test_every_message_header_is_needed(make_batch: Make) -> None:
    encoded = encode_session(make_batch())

    for name in encoded.headers:
        rest = {key: value for key, value in encoded.headers.items() if key != name}
        with pytest.raises(MessageError, match=name) as refused:
            decode_session(encoded.body, rest)
        assert refused.value.reason == "header"


def _rebuilt(encoded: Encoded, change: Callable[[dict[str, Any], Arrays], None]) -> Encoded:
    """The same message with other values or arrays in it, honestly framed."""
    values, arrays = unpack(encoded.body, SESSION_LIMITS)
    change(values, arrays)
    body = pack(values, arrays)
    return Encoded(body, encoded.headers | {"raw_bytes": len(body)})


def _without(name: str) -> Callable[[dict[str, Any], Arrays], None]:
    def change(values: dict[str, Any], arrays: Arrays) -> None:
        values.pop(name, None)
        arrays.pop(name, None)

    return change


def _with(name: str, array: Array) -> Callable[[dict[str, Any], Arrays], None]:
    return lambda values, arrays: arrays.update({name: array})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_without("header"), "malformed"),
        (_without("slot_major"), "malformed"),
        (_without("valid"), "missing"),
        (_without("rewards"), "missing"),
        (_with("rewards", np.zeros(32, np.float32)), "shape"),
        (_with("surprise", np.zeros(3)), "unknown"),
        (_with("surprise/x", np.zeros(3)), "unknown"),
        (_without("episodes/seconds"), "missing"),
        (_with("episodes/more", np.zeros(3)), "missing"),
        (_with("episodes/info_last", np.zeros((1, 1), np.float32)), "missing"),
        (_with("episodes/slots", np.zeros(1, np.int64)), "shape"),
        (_with("episodes/returns", np.zeros(99, np.float32)), "shape"),
    ],
)
def test_a_body_with_other_arrays_is_refused(
    make_batch: Make, change: Callable[[dict[str, Any], Arrays], None], reason: str
) -> None:
    batch = make_batch()
    assert len(batch.episodes)
    broken = _rebuilt(encode_session(batch), change)

    with pytest.raises(MessageError) as refused:
        decode_session(broken.body, broken.headers)

    assert refused.value.reason == reason


def test_slot_major_observations_need_two_axes(make_batch: Make) -> None:
    def flatten(values: dict[str, Any], arrays: Arrays) -> None:
        values["slot_major"] = True
        arrays["observations/"] = np.zeros(3, np.float32)

    broken = _rebuilt(encode_session(make_batch()), flatten)

    with pytest.raises(MessageError) as refused:
        decode_session(broken.body, broken.headers)
    assert refused.value.reason == "shape"


def test_a_body_over_the_limit_is_refused_unread(make_batch: Make) -> None:
    encoded = encode_session(make_batch())
    size = len(encoded.body)

    assert decode_session(encoded.body, encoded.headers, Limits(size, size)).ticks == 8
    for limits in (Limits(size - 1, size), Limits(size, size - 1)):
        with pytest.raises(MessageError) as refused:
            decode_session(encoded.body, encoded.headers, limits)
        assert refused.value.reason == "too-large"


@pytest.mark.parametrize(
    "shapes", [((99, 1), (99, 1)), ((3,), (3,)), ((1, 2, 3), (1, 2, 3)), ((1, 1), (1, 2))]
)
def test_numbers_of_info_in_another_shape_are_refused(make_batch: Make, shapes: Any) -> None:
    def change(values: dict[str, Any], arrays: Arrays) -> None:
        for name, shape in zip(("info_last", "info_mean"), shapes, strict=True):
            arrays[f"episodes/{name}"] = np.zeros(shape, np.float32)

    changed = _rebuilt(encode_session(make_batch()), change)

    with pytest.raises(MessageError) as refused:
        decode_session(changed.body, changed.headers)

    assert refused.value.reason == "shape"
