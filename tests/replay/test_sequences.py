"""Given recurrent play with gaps: every sequence against what was played, tick by tick."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from playing import ACTIONS, OBSERVATIONS, STATE, Playing, Tick, place

from tinyqueue.replay.plan import Prioritisation, ReplayPlan
from tinyqueue.replay.replay import Replay
from tinyqueue.replay.samples import SequenceSample

SLOTS = 2
PLAN = ReplayPlan(
    batch_size=64,
    n_step=1,
    gamma=0.5,
    prioritisation=Prioritisation(1.0, 0.5, 0.5, 0, floor=0.5, epsilon=0.0),
    burn_in=3,
    unroll=4,
    reward_clip=50.0,
)


def replay_of(plan: ReplayPlan, ticks: int, stack: int, blocks: int) -> Replay:
    return Replay(
        plan,
        OBSERVATIONS,
        ACTIONS,
        STATE,
        ticks=ticks,
        slots=SLOTS,
        capacity_steps=blocks * ticks * SLOTS,
        capacity_bytes=10**9,
        stack=stack,
    )


class Played:
    """Two stages in turn, with gaps; knows where each run begins and ends."""

    def __init__(self, replay: Replay, ticks: int, seed: int, ends: float, lost: list[bool]):
        rng = np.random.default_rng(seed)
        self.stages = [Playing(stage, ticks, SLOTS, rng, ends) for stage in range(2)]
        self.runs: list[list[tuple[int, int]]] = [[(0, 0)], [(0, 0)]]
        self.number = 0
        for pair in zip(lost, lost[::-1], strict=True):
            for stage, runs, is_lost in zip(self.stages, self.runs, pair, strict=True):
                batch = stage.play()
                if is_lost:
                    continue
                self.number += 1
                replay.add(self.number, batch)
                first = batch.header.n * ticks
                if runs[-1][1] != first:
                    runs.append((first, first))
                runs[-1] = (runs[-1][0], first + ticks)

    def run(self, stage: int, tick: int) -> tuple[int, int, bool]:
        """First tick, last tick + 1, and whether a gap follows, of the run around a tick."""
        for first, end in self.runs[stage]:
            if first <= tick < end:
                return first, end, (first, end) != self.runs[stage][-1]
        raise AssertionError(f"tick {tick} of stage {stage} was never added")

    def length(self, plan: ReplayPlan, stage: int, slot: int, tick: int) -> tuple[int, bool]:
        """Ticks of the sequence that begins at a tick, and whether it is complete."""
        played = self.stages[stage].slots[slot]
        wanted = plan.unroll + (plan.burn_in if played[tick].age else 0)
        ends = (i + 1 for i, later in enumerate(played[tick : tick + wanted]) if later.ended)
        length = min(wanted, next(ends, wanted))
        _, end, is_closed = self.run(stage, tick)
        return min(length, end - tick), is_closed or tick + length < end

    def starts(self, plan: ReplayPlan, stack: int) -> set[int]:
        """Frames at which an item should begin, with nothing evicted."""
        found = set()
        for stage, slot, tick, now in self._ticks():
            begins = now.valid and (now.age == 0 or tick % self.stages[0].ticks == 0)
            has_stack = tick - min(stack - 1, now.age) >= self.run(stage, tick)[0]
            length, is_complete = self.length(plan, stage, slot, tick)
            is_trained = length > (plan.burn_in if now.age else 0)
            if begins and has_stack and is_complete and is_trained:
                found.add(now.frame)
        return found

    def _ticks(self) -> list[tuple[int, int, int, Tick]]:
        return [
            (stage, slot, tick, self.stages[stage].slots[slot][tick])
            for stage, runs in enumerate(self.runs)
            for first, end in runs
            for slot in range(SLOTS)
            for tick in range(first, end)
        ]


def assert_as_played(
    sample: SequenceSample, i: int, played: Played, plan: ReplayPlan, stack: int
) -> int:
    """Checks sequence i of a sample; returns the frame at which it begins."""
    frames = sample.observations[""].reshape(*sample.observations[""].shape[:2], -1)
    stage, slot, tick = place(int(frames[0, i, -1]))
    ticks = played.stages[stage].slots[slot]
    is_first = ticks[tick].age == 0
    padding = plan.burn_in if is_first else 0
    length, _ = played.length(plan, stage, slot, tick)
    for row in range(plan.burn_in + plan.unroll + 1):
        here = row - padding
        at = tick + min(max(here, 0), length)
        age = ticks[at].age if at < len(ticks) else ticks[at - 1].age + 1
        newest = frames[0, i, -1] + at - tick
        back = [newest - min(offset, age) for offset in range(stack - 1, -1, -1)]
        assert frames[row, i].tolist() == back
        assert sample.starts[row, i] == (is_first and here == 0)
        before = ticks[at - 1] if 0 < here <= length or (here == 0 and not is_first) else None
        assert sample.previous_actions[row, i] == (before.action if before else 0)
        assert sample.previous_rewards[row, i] == (before.reward if before else 0)
        if row < len(sample.mask):
            is_real = 0 <= here < length
            assert sample.mask[row, i] == is_real
            assert sample.rewards[row, i] == (min(ticks[at].reward, 50) if is_real else 0)
            assert sample.terminated[row, i] == (is_real and ticks[at].terminated)
            assert not is_real or sample.actions[row, i] == ticks[at].action
            assert not is_real or ticks[at].valid
    state = [0.0, 0.0] if is_first else [float(tick), -1.0]
    assert sample.state["h"][i].tolist() == state
    assert sample.mask[plan.burn_in :, i].any()
    return ticks[tick].frame


def first_errors(played: Played, plan: ReplayPlan, frame: int) -> list[float]:
    """|δ| of the trained ticks of a sequence whose next value was recorded; n is 1."""
    stage, slot, tick = place(frame)
    ticks = played.stages[stage].slots[slot]
    length, _ = played.length(plan, stage, slot, tick)
    found = []
    for at in range(tick + (plan.burn_in if ticks[tick].age else 0), tick + length):
        now = ticks[at]
        if now.terminated or at + 1 < played.run(stage, tick)[1]:
            bootstrap = 0.0 if now.terminated else plan.gamma * ticks[at + 1].q_max
            found.append(abs(min(now.reward, 50) + bootstrap - now.q_taken))
    return found


@given(
    seed=st.integers(0, 2**32),
    ticks=st.sampled_from([1, 3, 5, 8]),
    stack=st.sampled_from([1, 3]),
    ends=st.sampled_from([0.02, 0.2, 0.6]),
    lost=st.lists(st.sampled_from([False, False, False, True]), min_size=3, max_size=25),
    burn_in=st.sampled_from([0, 3]),
    blocks=st.sampled_from([4, 100]),
)
@settings(max_examples=50, deadline=None)
def test_sequences_are_what_was_played_and_never_cross_episodes(
    seed: int, ticks: int, stack: int, ends: float, lost: list[bool], burn_in: int, blocks: int
) -> None:
    plan = dataclasses.replace(PLAN, burn_in=burn_in)
    replay = replay_of(plan, ticks, stack, blocks)
    played = Played(replay, ticks, seed, ends, lost)
    wanted = played.starts(plan, stack)
    if blocks == 100:
        assert replay.size == len(wanted)
    if replay.size:
        sample = replay.sample(np.random.default_rng(seed), 0)
        assert isinstance(sample, SequenceSample)
        for i in range(plan.batch_size):
            assert assert_as_played(sample, i, played, plan, stack) in wanted


@given(seed=st.integers(0, 2**32), lost=st.lists(st.booleans(), min_size=3, max_size=9))
@settings(max_examples=20, deadline=None)
def test_first_priorities_mix_the_largest_and_the_mean_error(seed: int, lost: list[bool]) -> None:
    replay = replay_of(PLAN, 5, 1, 100)
    played = Played(replay, 5, seed, 0.1, lost)
    # Where every batch was lost, nothing is held.
    priorities = replay.snapshot().get("priorities", np.zeros(0))
    found = np.sort(priorities[priorities > 0])
    errors = [first_errors(played, PLAN, frame) for frame in played.starts(PLAN, 1)]
    known = [0.9 * max(error) + 0.1 * math.fsum(error) / len(error) for error in errors if error]
    for priority in known:
        assert priority == 0 or np.isclose(found, priority).any()
    assert len(found) == len(errors) - known.count(0)


def test_a_sequence_waits_for_the_row_behind_its_last_tick() -> None:
    rng = np.random.default_rng(1)
    stage, replay = Playing(0, 4, SLOTS, rng, end_chance=0.0), replay_of(PLAN, 4, 1, 10)
    replay.add(1, stage.play())
    assert replay.size == 0
    # The episode's first 4 ticks are trained on: row 4 is the second batch's first.
    replay.add(2, stage.play())
    assert replay.size == SLOTS
    # The one from tick 4 has 7 ticks, and needs row 11.
    replay.add(3, stage.play())
    assert replay.size == 2 * SLOTS
    sample = replay.sample(rng, 0)
    assert isinstance(sample, SequenceSample)
    assert sample.mask.sum(axis=0).tolist() == [
        7 if before.any() else 4 for before in sample.state["h"]
    ]


def test_a_gap_drops_sequences_that_have_nothing_to_train_on() -> None:
    stage = Playing(0, 3, SLOTS, np.random.default_rng(1), end_chance=0.0)
    replay = replay_of(PLAN, 3, 1, 10)
    for number in (1, 2):
        replay.add(number, stage.play())
    stage.play()
    replay.add(3, stage.play())
    # The second batch's 3 ticks are its sequences' burn-in; the first one's had 4 + 2 by then.
    assert replay.dropped == {"stale_priorities": 0, "unfinished_sequences": SLOTS, "gaps": 1}
    assert replay.size == SLOTS


def test_without_recorded_values_the_largest_priority_is_first() -> None:
    stage = Playing(0, 8, SLOTS, np.random.default_rng(1), end_chance=0.0)
    replay = replay_of(PLAN, 8, 1, 10)
    batch = stage.play()
    batch.extras.clear()
    replay.add(1, batch)
    assert replay.snapshot()["priorities"].max() == 1.0


@pytest.mark.parametrize("rescaled", [True, False])
def test_recorded_values_may_be_rescaled(rescaled: bool) -> None:
    plan = dataclasses.replace(PLAN, burn_in=0, unroll=1, rescaled=rescaled)
    stage = Playing(0, 2, SLOTS, np.random.default_rng(1), end_chance=0.0)
    replay = replay_of(plan, 2, 1, 10)
    batch = stage.play()
    batch.rewards[:] = 25.0
    batch.extras["q_taken"][:] = 2.0
    # h⁻¹(9.1498756) = 100: the target is 25 + 100/2 = 75, and h(75) = √76 − 1 + 0.075.
    batch.extras["q_max"][:] = 9.1498756 if rescaled else 100.0
    replay.add(1, batch)
    error = 7.7927979 - 2.0 if rescaled else 73.0
    assert replay.snapshot()["priorities"][0, 0] == pytest.approx(error, abs=1e-5)
