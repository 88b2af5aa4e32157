"""Given the header of a session batch as plain values."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyqueue.data.pace import Pace
from tinyqueue.data.session import Drop, Header, SessionBatch
from tinyqueue.errors import MessageError
from tinyqueue.wire.fields import Fields
from tinyqueue.wire.headers import header_from, header_values
from tinyqueue.wire.limits import SESSION_LIMITS, Limits

Make = Callable[..., SessionBatch]
TEXT = st.text(st.characters(categories=("L", "N", "P", "S")), max_size=40)
COUNT = st.integers(0, 2**63 - 1)

MS = st.floats(0, 1e9)
PACES = st.builds(
    Pace, st.integers(0, 10**9), MS, MS, MS, st.integers(0, 10**9), st.integers(0, 99)
)


@st.composite
def headers(draw: st.DrawFn) -> Header:
    n = draw(st.integers(20, 10**18 - 1))
    given_up = draw(st.lists(st.integers(0, 19), unique=True).map(sorted))
    reasons = itertools.cycle(["no learner", "queue full"])
    return Header(
        experiment=draw(st.from_regex("[a-z0-9][a-z0-9_-]{0,47}", fullmatch=True)),
        run=draw(TEXT),
        stage=draw(st.from_regex("[0-9a-f]{32}", fullmatch=True)),
        n=n,
        user=draw(TEXT),
        player=draw(TEXT),
        policy_version=draw(COUNT),
        spec_version=draw(COUNT),
        task=draw(TEXT),
        faults=(faults := draw(COUNT)),
        fault=draw(TEXT) if faults else "",
        pace=draw(st.none() | PACES),
        ended_tasks=tuple(draw(st.lists(TEXT, max_size=3))),
        seed=draw(COUNT),
        play_s=draw(st.floats(0, 1e6)),
        dropped=tuple(Drop(one, next(reasons)) for one in given_up),
    )


def _decoded(values: dict[str, Any], limits: Limits = SESSION_LIMITS) -> Header:
    """As it arrives: tuples have become lists."""
    values = values | {"ended_tasks": list(values["ended_tasks"])}
    values["dropped"] = [list(item) if type(item) is tuple else item for item in values["dropped"]]
    return header_from(Fields(values), None, limits)


@given(header=headers())
def test_a_header_comes_back(header: Header) -> None:
    assert _decoded(header_values(header)) == header


def test_thousands_of_drops_in_a_row_are_one_range(make_batch: Make) -> None:
    dropped = (*(Drop(n, "no learner") for n in range(5000)), Drop(5000, "queue full"))
    header = make_batch(n=5001, dropped=dropped).header

    values = header_values(header)

    assert values["dropped"] == [("no learner", 0, 5000), ("queue full", 5000, 1)]
    assert _decoded(values).dropped == (Drop(0, "no learner", 5000), Drop(5000, "queue full"))


def test_only_the_newest_ranges_of_drops_are_told(make_batch: Make) -> None:
    dropped = tuple(Drop(n, "no learner" if n % 2 else "queue full") for n in range(200))
    header = make_batch(n=200, dropped=dropped).header

    assert _decoded(header_values(header)).dropped == dropped[-64:]


def test_only_the_newest_ended_tasks_are_told(make_batch: Make) -> None:
    header = make_batch(ended_tasks=tuple(str(n) for n in range(2000))).header

    assert _decoded(header_values(header)).ended_tasks == tuple(str(n) for n in range(976, 2000))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"experiment": "Cartpole"}, "malformed"),
        ({"experiment": "cartpole\n"}, "malformed"),
        ({"stage": "F" * 32}, "malformed"),
        ({"stage": "f" * 31}, "malformed"),
        ({"n": -1}, "malformed"),
        ({"n": 2**63}, "malformed"),
        ({"policy_version": -1}, "malformed"),
        ({"policy_version": True}, "malformed"),
        ({"player": "\x1b[31m"}, "malformed"),
        ({"play_s": float("nan")}, "malformed"),
        ({"ended_tasks": ["x"] * 1025}, "malformed"),
        ({"ended_tasks": [7]}, "malformed"),
        ({"ended_tasks": ["x" * 300]}, "malformed"),
        ({"dropped": ["no learner"]}, "malformed"),
        ({"dropped": [["no learner", 0]]}, "malformed"),
        ({"dropped": [["\x1b[31m", 0, 1]]}, "malformed"),
        ({"dropped": [[b"no learner", 0, 1]]}, "malformed"),
        ({"dropped": [["no learner", 0, 0]]}, "malformed"),
        ({"dropped": [["no learner", -1, 1]]}, "malformed"),
        ({"dropped": [["no learner", 0, True]]}, "malformed"),
        ({"dropped": [["no learner", 0, 8]]}, "range"),
        ({"dropped": [["no learner", 7, 1]]}, "range"),
        ({"dropped": [["no learner", 0, 2**62]]}, "range"),
        ({"n": 10**17, "dropped": [["no learner", 0, 65_537]]}, "range"),
        (
            {"n": 10**17, "dropped": [["x", 0, 40_000], ["x", 40_000, 40_000]]},
            "range",
        ),
        ({"n": 9, "dropped": [["x", 2, 3], ["x", 4, 1]]}, "range"),
        ({"n": 9, "dropped": [["x", 4, 1], ["x", 2, 1]]}, "range"),
        ({"n": 999, "dropped": [["x", 2 * i, 1] for i in range(65)]}, "range"),
        ({"n": 10**18}, "range"),
    ],
)
def test_a_header_that_cannot_be_is_refused(
    make_batch: Make, change: dict[str, Any], reason: str
) -> None:
    values = header_values(make_batch(n=7).header)
    assert _decoded(values).n == 7

    with pytest.raises(MessageError) as refused:
        _decoded(values | change)

    assert refused.value.reason == reason


@pytest.mark.parametrize(
    ("epsilons", "reason"),
    [
        (np.array([0.5], np.float32), "shape"),
        (np.array([[0.5]]), "shape"),
        (np.array([np.nan]), "probability"),
        (np.array([-0.1]), "probability"),
        (np.array([1.1]), "probability"),
    ],
)
def test_exploration_rates_are_probabilities(make_batch: Make, epsilons: Any, reason: str) -> None:
    values = header_values(make_batch().header) | {"ended_tasks": [], "dropped": []}

    with pytest.raises(MessageError) as refused:
        header_from(Fields(values), epsilons, SESSION_LIMITS)

    assert refused.value.reason == reason


def test_faults_travel_only_where_there_are_some(make_batch: Make) -> None:
    plain = header_values(make_batch().header)
    assert not {"faults", "fault"} & plain.keys()
    told = header_values(replace(make_batch().header, faults=3, fault="Snake-v0\n" + "x" * 500))
    header = header_from(Fields({**told, "ended_tasks": [], "dropped": []}), None, SESSION_LIMITS)
    assert header.faults == 3
    assert header.fault.startswith("Snake-v0 x")
    assert len(header.fault) == 256


@pytest.mark.parametrize(
    "wrong", [{"faults": -1}, {"faults": 1.0}, {"faults": 1, "fault": "x" * 257}]
)
def test_faults_that_cannot_be_are_refused(make_batch: Make, wrong: dict[str, Any]) -> None:
    values = {**header_values(make_batch().header), "ended_tasks": [], "dropped": []}
    with pytest.raises(MessageError):
        header_from(Fields(values | wrong), None, SESSION_LIMITS)


def test_a_pace_travels_only_where_there_is_one(make_batch: Make) -> None:
    assert "pace" not in header_values(make_batch().header)
    assert _decoded(header_values(make_batch().header)).pace is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": -1},
        {"p50_ms": float("nan")},
        {"worst_ms": 1e10},
        {"missed_ticks": 10**10},
        {"late_ticks": 1.0},
    ],
)
def test_a_pace_that_cannot_be_is_refused(make_batch: Make, wrong: dict[str, Any]) -> None:
    values = header_values(replace(make_batch().header, pace=Pace(1, 1.0, 1.0, 1.0, 0, 0)))

    with pytest.raises(MessageError):
        _decoded({**values, "pace": {**values["pace"], **wrong}})
    with pytest.raises(MessageError, match="missing"):
        _decoded({**values, "pace": {}})
