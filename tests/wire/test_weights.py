"""Given weight versions that are published and fetched."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tinyqueue.data.spaces import Array
from tinyqueue.errors import MessageError
from tinyqueue.wire.arrays import pack
from tinyqueue.wire.limits import Limits
from tinyqueue.wire.weights import WeightVersion, decode_weights, encode_weights

WEIGHTS = WeightVersion(
    version=12,
    epoch=3,
    run="0" * 32,
    updates=400,
    env_steps=819_200,
    graph_sha256="a" * 64,
    arrays={
        "torso/kernel": np.arange(12, dtype=np.float32).reshape(3, 4),
        "torso/bias": np.zeros(4, np.float32),
        "temperature": np.array(0.5, np.float32),
    },
)


@settings(max_examples=60, deadline=None)
@given(
    numbers=st.tuples(*[st.integers(0, 2**63 - 1)] * 4),
    arrays=st.dictionaries(
        st.text(max_size=12),
        hnp.arrays("float32", hnp.array_shapes(min_dims=0, max_dims=4, max_side=4)),
        max_size=5,
    ),
)
def test_a_weight_version_comes_back_bit_for_bit(
    numbers: tuple[int, ...], arrays: dict[str, Array]
) -> None:
    version, epoch, updates, env_steps = numbers
    sent = WeightVersion(version, epoch, "run", updates, env_steps, "0" * 64, arrays)

    found = decode_weights(encode_weights(sent))

    assert replace(found, arrays={}) == replace(sent, arrays={})
    assert list(found.arrays) == list(arrays)
    for path, array in arrays.items():
        assert found.arrays[path].shape == array.shape
        assert found.arrays[path].tobytes() == array.tobytes()


def test_arrays_are_aligned_read_only_views_of_the_body() -> None:
    body = encode_weights(WEIGHTS)

    for array in decode_weights(body).arrays.values():
        assert array.flags.aligned
        assert not array.flags.writeable
        assert np.shares_memory(array, np.frombuffer(body, np.uint8))


def test_every_single_flipped_bit_is_noticed() -> None:
    body = encode_weights(WEIGHTS)

    for place in range(len(body)):
        flipped = bytearray(body)
        flipped[place] ^= 1 << place % 8
        with pytest.raises(MessageError) as refused:
            decode_weights(bytes(flipped))
        assert refused.value.reason == "hash"


@pytest.mark.parametrize("body", [b"", b"x", bytes(32), bytes(1000)])
def test_bytes_that_are_no_weights_are_refused(body: bytes) -> None:
    with pytest.raises(MessageError) as refused:
        decode_weights(body)
    assert refused.value.reason == "hash"


def test_torn_weights_are_refused() -> None:
    body = encode_weights(WEIGHTS)

    for size in range(len(body)):
        with pytest.raises(MessageError):
            decode_weights(body[:size])


def test_weights_over_the_limit_are_refused() -> None:
    body = encode_weights(WEIGHTS)

    assert decode_weights(body, Limits(body_bytes=len(body))).version == 12
    with pytest.raises(MessageError) as refused:
        decode_weights(body, Limits(body_bytes=len(body) - 1))
    assert refused.value.reason == "too-large"


@pytest.mark.parametrize(
    "change",
    [
        {"version": -1},
        {"version": None},
        {"epoch": 2**63},
        {"run": "\x00"},
        {"env_steps": 1.0},
        {"graph_sha256": "A" * 64},
        {"graph_sha256": "a" * 64 + "\n"},
    ],
)
def test_values_that_cannot_be_are_refused_though_the_hash_is_right(change: dict[str, Any]) -> None:
    values = {key: value for key, value in vars(WEIGHTS).items() if key != "arrays"}
    frame = pack(values | change, WEIGHTS.arrays)

    with pytest.raises(MessageError) as refused:
        decode_weights(hashlib.sha256(frame).digest() + frame)

    assert refused.value.reason == "malformed"
