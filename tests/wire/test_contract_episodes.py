"""Given batches in which episodes end: where they may, and what must be told of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from contracts import MakeBatch, MakeContract, quiet_batch, refusal, with_value
from hypothesis import given
from hypothesis import strategies as st

from tinyqueue.data.episodes import Episodes
from tinyqueue.data.pace import Pace
from tinyqueue.data.session import SessionBatch
from tinyqueue.data.spaces import Array
from tinyqueue.errors import MessageError

F32 = np.float32


@pytest.mark.parametrize("tick", [0, 1, 6, 7])
def test_a_truncation_at_any_tick_is_followed_by_one_invalid_tick(
    make_batch: MakeBatch, make_contract: MakeContract, tick: int
) -> None:
    ended = np.zeros((8, 4), bool)
    ended[tick, 2] = True
    valid = np.ones((8, 4), bool)
    valid[tick + 1 : tick + 2, 2] = False
    one = Episodes.of([2], [1.0], [3], [0.1])
    contract = make_contract()

    batch = quiet_batch(make_batch, truncated=ended, valid=valid, episodes=one)
    contract.check(batch)
    if tick < 7:
        assert refusal(contract, replace(batch, valid=np.ones((8, 4), bool))) == "autoreset"


def test_the_first_tick_may_be_invalid_and_no_other_without_an_end(
    make_batch: MakeBatch, make_contract: MakeContract
) -> None:
    always = np.ones((8, 4), bool)
    contract = make_contract()

    contract.check(quiet_batch(make_batch, valid=with_value(always, 0, False)))
    alone = quiet_batch(make_batch, valid=with_value(always, (5, 1), False))
    assert refusal(contract, alone) == "autoreset"


def test_no_episode_ends_on_an_invalid_tick(
    make_batch: MakeBatch, make_contract: MakeContract
) -> None:
    first = with_value(np.zeros((8, 4), bool), (0, 0), True)
    valid = with_value(with_value(np.ones((8, 4), bool), (0, 0), False), (1, 0), False)

    batch = quiet_batch(make_batch, terminated=first, valid=valid)

    assert refusal(make_contract(), batch) == "autoreset"


@given(bits=st.integers(0, 2**18 - 1))
def test_the_autoreset_rule_is_the_one_in_words(
    make_batch: MakeBatch, make_contract: MakeContract, bits: int
) -> None:
    flags = np.array([bits >> n & 1 for n in range(18)], bool).reshape(3, 6, 1)
    terminated, truncated, valid = flags
    ended = [bool(a or b) for a, b in zip(terminated[:, 0], truncated[:, 0], strict=True)]
    told = [bool(v) for v in valid[:, 0]]
    allowed = all(told[t] or not ended[t] for t in range(6)) and all(
        told[t] != ended[t - 1] for t in range(1, 6)
    )
    count = sum(ended)
    batch = replace(
        make_batch(6, 1),
        terminated=terminated,
        truncated=truncated,
        valid=valid,
        episodes=Episodes.of([0] * count, [1.0] * count, [1] * count, [0.0] * count),
    )

    if allowed:
        make_contract(6, 1).check(batch)
    else:
        assert refusal(make_contract(6, 1), batch) == "autoreset"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"slots": np.array([4], np.int32)}, "range"),
        ({"slots": np.array([-1], np.int32)}, "range"),
        ({"lengths": np.array([0], np.int32)}, "range"),
        ({"seconds": np.array([-1.0], F32)}, "range"),
        ({"seconds": np.array([np.nan], F32)}, "range"),
        ({"seconds": np.array([np.inf], F32)}, "not-finite"),
        ({"returns": np.array([np.nan], F32)}, "not-finite"),
        ({"returns": np.array([-3e38], F32)}, "too-far"),
        ({"seconds": np.array([3e38], F32)}, "too-far"),
        # Eight rewards of at most 100, and eight batches of eight ticks.
        ({"returns": np.array([801.0], F32)}, "too-far"),
        ({"returns": np.array([-1e30], F32)}, "too-far"),
        ({"lengths": np.array([65], np.int32)}, "range"),
    ],
)
def test_finished_episodes_are_possible_ones(
    make_batch: MakeBatch, make_contract: MakeContract, change: dict[str, Array], reason: str
) -> None:
    ended = with_value(np.zeros((8, 4), bool), (7, 1), True)
    one = Episodes.of([1], [5.0], [8], [0.1])
    batch = quiet_batch(make_batch, terminated=ended, episodes=one)
    contract = make_contract()

    contract.check(batch)
    assert refusal(contract, replace(batch, episodes=replace(one, **change))) == reason


def test_an_episode_may_have_the_largest_reward_in_every_step(
    make_batch: MakeBatch, make_contract: MakeContract
) -> None:
    ended = with_value(np.zeros((8, 4), bool), (7, 1), True)
    for worst in (-0.1, 0.1):
        rewards = np.full((8, 4), worst, F32)
        one = Episodes.of([1], [rewards[:, 1].sum(dtype=np.float64)], [8], [0.1])
        batch = quiet_batch(make_batch, terminated=ended, episodes=one, rewards=rewards, carry={})
        make_contract(max_abs_reward=0.1).check(batch)


def test_all_episodes_of_a_slot_are_no_longer_than_its_stage_has_played(
    make_batch: MakeBatch, make_contract: MakeContract
) -> None:
    ended = with_value(with_value(np.zeros((8, 4), bool), (3, 1), True), (7, 1), True)
    valid = with_value(np.ones((8, 4), bool), (4, 1), False)

    def batch(*lengths: int) -> SessionBatch:
        two = Episodes.of([1, 1], [1.0, 1.0], lengths, [0.1, 0.1])
        return quiet_batch(make_batch, terminated=ended, valid=valid, episodes=two)

    make_contract().check(batch(32, 32))
    assert refusal(make_contract(), batch(32, 33)) == "range"


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"steps": 32_001}, "32,001 steps of 32 ticks"),
        ({"p50_ms": 2.1}, "p50_ms"),
        ({"p99_ms": 3.1}, "p99_ms"),
    ],
)
def test_a_pace_does_not_contradict_itself(
    make_batch: MakeBatch, make_contract: MakeContract, wrong: dict[str, Any], told: str
) -> None:
    pace = Pace(32_000, 1.0, 2.0, 3.0, 4, 5)

    make_contract().check(make_batch(pace=pace))
    with pytest.raises(MessageError, match=told):
        make_contract().check(make_batch(pace=replace(pace, **wrong)))


def test_as_many_episodes_are_told_as_ended(
    make_batch: MakeBatch, make_contract: MakeContract
) -> None:
    two = Episodes.of([0, 1], [1.0, 1.0], [1, 1], [0.0, 0.0])
    with_ends = make_batch()
    assert len(with_ends.episodes)

    assert refusal(make_contract(), quiet_batch(make_batch, episodes=two)) == "range"
    untold = replace(with_ends, episodes=Episodes.none())
    assert refusal(make_contract(), untold) == "range"


def _with_info(batch: SessionBatch, last: Any, mean: Any = None) -> SessionBatch:
    last = np.asarray(last, F32)
    episodes = replace(
        batch.episodes, info_last=last, info_mean=last if mean is None else np.asarray(mean, F32)
    )
    return replace(batch, episodes=episodes)


def test_episodes_may_have_the_numbers_of_info_that_were_asked_for_or_none(
    make_batch: MakeBatch, make_contract: MakeContract
) -> None:
    contract, batch = make_contract(info=2), make_batch()
    count = len(batch.episodes)
    assert count

    contract.check(batch)
    contract.check(_with_info(batch, [[1.5, np.nan]] * count))


@pytest.mark.parametrize(
    ("numbers", "reason"),
    [([1.0], "shape"), ([1.0] * 3, "shape"), ([np.inf, 0], "too-far"), ([0, -2e30], "too-far")],
)
def test_other_numbers_of_info_are_refused(
    make_batch: MakeBatch, make_contract: MakeContract, numbers: Any, reason: str
) -> None:
    contract, batch = make_contract(info=2), make_batch()
    rows, sound = [numbers] * len(batch.episodes), [[0.0] * 2] * len(batch.episodes)

    assert refusal(contract, _with_info(batch, rows)) == reason
    assert refusal(contract, _with_info(batch, sound, rows)) == reason


def test_numbers_of_info_that_nobody_asked_for_are_refused(
    make_batch: MakeBatch, make_contract: MakeContract
) -> None:
    batch = make_batch()

    assert refusal(make_contract(), _with_info(batch, [[1.0]] * len(batch.episodes))) == "shape"
