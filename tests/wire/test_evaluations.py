"""Given the result of an evaluation."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from tinyqueue.errors import MessageError
from tinyqueue.experiment.sections import EvaluationConfig
from tinyqueue.wire.arrays import pack
from tinyqueue.wire.evaluations import (
    MOST_GAMES,
    EvaluationResult,
    decode_evaluation,
    encode_evaluation,
)
from tinyqueue.wire.limits import Limits

VALUES: dict[str, Any] = {
    "schema": 1,
    "request": "r-1",
    "experiment": "cartpole-impala",
    "run": "0" * 32,
    "policy_version": 55,
    "seconds": 1.5,
    "player": "node-a:1",
}
OF_ENDS: dict[str, Any] = {
    "actions": "greedy",
    "asked": 0,
    "capped": 0,
    "max_steps": 0,
    "cut": 0,
    "failures": 0,
    "failure": "",
}
RETURNS = np.array([500.0, 476.5], np.float32)
LENGTHS = np.array([500, 477], np.int32)


def _result() -> EvaluationResult:
    return EvaluationResult(
        "r-1", "cartpole-impala", "0" * 32, 55, RETURNS, LENGTHS, 1.5, "node-a:1"
    )


def _reason(body: bytes, limits: Limits | None = None) -> str:
    with pytest.raises(MessageError) as refused:
        decode_evaluation(body, limits) if limits else decode_evaluation(body)
    return refused.value.reason


def test_a_result_comes_back() -> None:
    found = decode_evaluation(encode_evaluation(_result()))

    assert found.returns.tolist() == [500.0, 476.5]
    assert found.returns.dtype == np.float32
    assert found.lengths.tolist() == [500, 477]
    assert found.lengths.dtype == np.int32
    plain = {key: value for key, value in vars(found).items() if key not in ("returns", "lengths")}
    assert plain == {key: value for key, value in (VALUES | OF_ENDS).items() if key != "schema"}


def test_a_result_without_how_its_games_ended_is_refused() -> None:
    # It could not be the answer to any request.
    with pytest.raises(MessageError):
        decode_evaluation(pack(VALUES, {"returns": RETURNS, "lengths": LENGTHS}))


def test_how_games_ended_comes_back() -> None:
    sent = replace(_result(), **{**OF_ENDS, "actions": "sample", "capped": 2, "failure": "a\nb"})

    found = decode_evaluation(encode_evaluation(sent))

    assert (found.actions, found.capped, found.failure) == ("sample", 2, "a b")


def test_columns_of_other_types_become_those_of_the_wire() -> None:
    sent = EvaluationResult("r", "exp", "run", 1, np.array([1, 2]), np.array([3, 4]), 2, "p")

    found = decode_evaluation(encode_evaluation(sent))

    assert (found.returns.tolist(), found.lengths.tolist()) == ([1.0, 2.0], [3, 4])
    assert found.seconds == 2.0


def test_an_evaluation_without_games_is_none() -> None:
    empty = EvaluationResult("r", "exp", "run", 1, np.array([]), np.array([]), 0.0, "p")

    with pytest.raises(ValueError, match="returns"):
        encode_evaluation(empty)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"schema": 2}, "schema"),
        ({"actions": "best"}, "malformed"),
        ({"capped": -1}, "malformed"),
        ({"schema": None}, "malformed"),
        ({"request": 7}, "malformed"),
        ({"experiment": "No"}, "malformed"),
        ({"policy_version": -1}, "malformed"),
        ({"seconds": float("inf")}, "malformed"),
    ],
)
def test_values_that_cannot_be_are_refused(change: dict[str, Any], reason: str) -> None:
    body = pack(VALUES | change, {"returns": RETURNS, "lengths": LENGTHS})

    assert _reason(body) == reason


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ({"returns": RETURNS}, "missing"),
        ({"returns": RETURNS, "more": LENGTHS}, "missing"),
        ({"returns": RETURNS.astype(np.float64), "lengths": LENGTHS}, "dtype"),
        ({"returns": RETURNS, "lengths": LENGTHS.astype(np.int64)}, "dtype"),
        ({"returns": RETURNS, "lengths": LENGTHS[:1]}, "shape"),
        ({"returns": RETURNS[None], "lengths": LENGTHS[None]}, "shape"),
        ({"returns": RETURNS * np.float32(np.nan), "lengths": LENGTHS}, "not-finite"),
        ({"returns": RETURNS, "lengths": LENGTHS * 0}, "range"),
        ({"returns": RETURNS, "lengths": LENGTHS, "x": LENGTHS}, "too-large"),
    ],
)
def test_columns_that_cannot_be_are_refused(arrays: Any, reason: str) -> None:
    assert _reason(pack(VALUES, arrays)) == reason


def test_more_games_than_an_experiment_can_ask_for_are_refused() -> None:
    most = EvaluationConfig(episodes=MOST_GAMES).episodes
    with pytest.raises(ValidationError):
        EvaluationConfig(episodes=MOST_GAMES + 1)

    def body(count: int) -> bytes:
        returns, lengths = np.zeros(count, np.float32), np.ones(count, np.int32)
        return encode_evaluation(replace(_result(), returns=returns, lengths=lengths))

    assert len(decode_evaluation(body(most)).returns) == most
    assert _reason(body(most + 1)) == "too-large"
    assert _reason(body(100_000)) == "too-large"


def test_a_torn_or_large_result_is_refused() -> None:
    body = encode_evaluation(_result())

    assert _reason(body[:-1]) == "malformed"
    assert _reason(b"") == "malformed"
    assert _reason(body, Limits(body_bytes=len(body) - 1)) == "too-large"
