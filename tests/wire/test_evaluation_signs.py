"""Given the sign that an evaluation is being played."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinyqueue.errors import MessageError
from tinyqueue.wire.arrays import pack
from tinyqueue.wire.evaluation_signs import EvaluationSign, decode_sign, encode_sign

VALUES: dict[str, Any] = {
    "schema": 1,
    "request": "r-1",
    "experiment": "cartpole-impala",
    "run": "0" * 32,
    "player": "node-a:1",
}
SIGN = EvaluationSign("r-1", "cartpole-impala", "0" * 32, "node-a:1")


def _reason(body: bytes) -> str:
    with pytest.raises(MessageError) as refused:
        decode_sign(body)
    return refused.value.reason


def test_a_sign_comes_back() -> None:
    assert encode_sign(SIGN) == pack(VALUES, {})
    assert decode_sign(encode_sign(SIGN)) == SIGN
    assert decode_sign(memoryview(encode_sign(SIGN))) == SIGN


def test_the_longest_texts_fit() -> None:
    longest = EvaluationSign("ä" * 256, "a", "ö" * 256, "𝄞" * 256)

    assert decode_sign(encode_sign(longest)) == longest


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"schema": 2}, "schema"),
        ({"schema": None}, "malformed"),
        ({"request": 7}, "malformed"),
        ({"request": "\x1b[2J"}, "malformed"),
        ({"experiment": "No"}, "malformed"),
        ({"run": ["r"]}, "malformed"),
        ({"player": "p" * 257}, "malformed"),
        ({"more": "x" * 4096}, "too-large"),
    ],
)
def test_values_that_cannot_be_are_refused(change: dict[str, Any], reason: str) -> None:
    assert _reason(pack(VALUES | change, {})) == reason


@pytest.mark.parametrize("name", list(VALUES))
def test_a_value_that_is_missing_is_named(name: str) -> None:
    body = pack({key: value for key, value in VALUES.items() if key != name}, {})

    with pytest.raises(MessageError, match=f"{name} is missing"):
        decode_sign(body)


def test_a_sign_carries_no_arrays() -> None:
    assert _reason(pack(VALUES, {"returns": np.ones(1, np.float32)})) == "too-large"


def test_a_torn_sign_is_refused() -> None:
    body = encode_sign(SIGN)

    for end in range(len(body)):
        assert _reason(body[:end]) == "malformed"
    assert _reason(body + b"\xc0") == "malformed"
