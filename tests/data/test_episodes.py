"""Given ticks in which episodes go on and end."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyqueue.data.episodes import EpisodeAccumulator, Episodes, RunningReturns
from tinyqueue.data.spaces import Array

TICK_S = 0.25


@dataclass
class _Naive:
    """The same, one tick of one slot at a time."""

    slots: int

    def __post_init__(self) -> None:
        self.returns = [0.0] * self.slots
        self.lengths = [0] * self.slots
        self.started_s = [0.0] * self.slots

    def add(
        self, rewards: Array, ended: Array, valid: Array, start_s: float
    ) -> list[tuple[int, float, int, float]]:
        done = []
        for tick in range(len(rewards)):
            for slot in range(self.slots):
                if not valid[tick, slot]:
                    continue
                self.returns[slot] += float(rewards[tick, slot])
                self.lengths[slot] += 1
                if ended[tick, slot]:
                    now_s = start_s + (tick + 1) * TICK_S
                    seconds = now_s - self.started_s[slot]
                    done.append((slot, self.returns[slot], self.lengths[slot], seconds))
                    self.returns[slot], self.lengths[slot] = 0.0, 0
                    self.started_s[slot] = now_s
        return done


@st.composite
def streams(draw: st.DrawFn) -> list[tuple[Array, Array, Array]]:
    """Batches of any length, with ends and autoreset ticks anywhere: (rewards, ended, valid)."""
    slots = draw(st.integers(1, 4))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    ends, resets = draw(st.sampled_from([0.0, 0.1, 0.5, 1.0])), draw(st.sampled_from([0, 0.3]))
    batches = []
    for ticks in draw(st.lists(st.integers(1, 9), min_size=1, max_size=4)):
        valid = random.random((ticks, slots)) >= resets
        ended = random.random((ticks, slots)) < ends
        rewards = random.normal(0, 10, (ticks, slots)).astype(np.float32)
        batches.append((rewards, ended, valid))
    return batches


@given(stream=streams())
def test_batches_add_up_to_what_a_plain_loop_counts(
    stream: list[tuple[Array, Array, Array]],
) -> None:
    slots = stream[0][0].shape[1]
    accumulator, naive = EpisodeAccumulator(slots), _Naive(slots)
    accumulator.begin(0.0)
    now_s = 0.0

    for rewards, ended, valid in stream:
        end_s = now_s + len(rewards) * TICK_S
        found = accumulator.add(rewards, ended, valid, now_s, end_s)
        wanted = naive.add(rewards, ended, valid, now_s)
        now_s = end_s + 1.0  # between batches a player waits for the broker

        assert found.slots.tolist() == [slot for slot, *_ in wanted]
        assert found.lengths.tolist() == [length for _, _, length, _ in wanted]
        np.testing.assert_allclose(found.returns, [r for _, r, _, _ in wanted], 1e-5, 1e-4)
        np.testing.assert_allclose(found.seconds, [s for *_, s in wanted], 1e-5, 1e-5)
        assert accumulator.lengths.tolist() == naive.lengths


def test_an_episode_may_span_batches_and_an_autoreset_tick_counts_for_nothing() -> None:
    accumulator = EpisodeAccumulator(2)
    accumulator.begin(100.0)
    one = np.ones((2, 2), np.float32)
    never = np.zeros((2, 2), bool)

    first = accumulator.add(one, never, ~never, 100.0, 102.0)
    ended = np.array([[True, False], [False, False]])
    valid = np.array([[True, True], [False, True]])
    second = accumulator.add(one, ended, valid, 102.0, 104.0)

    assert len(first) == 0
    assert second.slots.tolist() == [0]
    assert second.returns.tolist() == [3.0]
    assert second.lengths.tolist() == [3]
    assert second.seconds.tolist() == [3.0]
    assert accumulator.lengths.tolist() == [0, 4]


def test_episodes_are_told_in_order_of_time_then_slot() -> None:
    ended = np.array([[False, False, True], [True, False, True], [True, True, False]])
    ones = np.ones((3, 3), np.float32)

    found = EpisodeAccumulator(3).add(ones, ended, np.ones((3, 3), bool), 0.0, 3.0)

    assert found.slots.tolist() == [2, 0, 2, 0, 1]
    assert found.lengths.tolist() == [1, 2, 1, 1, 3]


def test_a_return_keeps_its_precision_over_a_long_episode() -> None:
    """Ten million rewards of 0.1 in float32 sums would be off by thousands."""
    accumulator = EpisodeAccumulator(1)
    rewards = np.full((100_000, 1), 0.1, np.float32)
    never, always = np.zeros((100_000, 1), bool), np.ones((100_000, 1), bool)
    for _ in range(99):
        accumulator.add(rewards, never, always, 0.0, 1.0)

    last = never.copy()
    last[-1] = True
    found = accumulator.add(rewards, last, always, 0.0, 1.0)

    assert found.lengths.tolist() == [10_000_000]
    assert found.returns[0] == pytest.approx(1e6, rel=1e-6)


def test_beginning_anew_forgets_what_was_played() -> None:
    accumulator = EpisodeAccumulator(1)
    one, never = np.ones((1, 1), np.float32), np.zeros((1, 1), bool)
    accumulator.add(one, never, ~never, 0.0, 1.0)

    accumulator.begin(5.0)
    found = accumulator.add(one, ~never, ~never, 5.0, 6.0)

    assert (found.returns.tolist(), found.lengths.tolist()) == ([1.0], [1])
    assert found.seconds.tolist() == [1.0]


def test_columns_have_the_types_of_the_wire() -> None:
    episodes = Episodes.of([0], [1], [2], [3])

    types = [str(column.dtype) for column in vars(episodes).values()]
    assert types == ["int32", "float32", "int32", "float32", "float32", "float32"]
    assert len(episodes) == 1
    assert len(Episodes.none()) == 0


def test_before_the_first_episode_there_is_no_mean() -> None:
    running = RunningReturns()

    assert math.isnan(running.mean_return)
    assert math.isnan(running.mean_length)
    assert not running.is_full


def test_the_mean_is_over_the_last_episodes_only() -> None:
    running = RunningReturns(window=3)

    running.add(Episodes.of([0, 0], [100.0, 1.0], [50, 10], [0, 0]))
    assert (running.mean_return, running.is_full) == (50.5, False)
    running.add(Episodes.of([0, 0], [2.0, 3.0], [20, 30], [0, 0]))

    assert (running.mean_return, running.mean_length) == (2.0, 20.0)
    assert running.is_full
    assert running.count == 4
