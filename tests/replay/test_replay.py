"""Given batches of several stages, with gaps and evictions: the replay against a plain one."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from plain_replay import PlainReplay
from playing import ACTIONS, OBSERVATIONS, Playing, frame

from tinyqueue.errors import ConfigError
from tinyqueue.replay.plan import Prioritisation, ReplayPlan
from tinyqueue.replay.replay import Replay
from tinyqueue.replay.samples import TransitionSample

BLOCKS, SLOTS = 6, 2


def replay_of(plan: ReplayPlan, ticks: int, stack: int = 1, blocks: int = BLOCKS) -> Replay:
    return Replay(
        plan,
        OBSERVATIONS,
        ACTIONS,
        {},
        ticks=ticks,
        slots=SLOTS,
        capacity_steps=blocks * ticks * SLOTS + 1,
        capacity_bytes=10**9,
        stack=stack,
    )


class AgainstAPlainReplay(RuleBasedStateMachine):
    """Adds, gaps, evictions, samples and updates in any order."""

    @initialize(
        seed=st.integers(0, 2**32),
        ticks=st.sampled_from([1, 2, 5]),
        n=st.sampled_from([1, 3]),
        stack=st.sampled_from([1, 3, 4]),
        ends=st.sampled_from([0.02, 0.2, 0.7]),
    )
    def begin(self, seed: int, ticks: int, n: int, stack: int, ends: float) -> None:
        self.rng = np.random.default_rng(seed)
        self.plan = ReplayPlan(
            16,
            n,
            0.5,
            Prioritisation(1.0, 0.5, 0.5, 0, floor=0.1),
            reward_scale=0.5,
            reward_clip=30,
        )
        self.stages = [Playing(stage, ticks, SLOTS, self.rng, ends) for stage in range(3)]
        self.replay = replay_of(self.plan, ticks, stack)
        self.plain = PlainReplay(self.plan, self.stages, BLOCKS, stack)
        self.number = 0
        self.samples: list[TransitionSample] = []

    @rule(stage=st.integers(0, 2), lost=st.sampled_from([0, 0, 0, 1]), count=st.integers(1, 3))
    def add(self, stage: int, lost: int, count: int) -> None:
        for _ in range(lost):
            self.stages[stage].play()
        for _ in range(count):
            batch = self.stages[stage].play()
            self.number += 1
            self.replay.add(self.number, batch)
            self.plain.add(self.number, batch.header.n, stage)
        self.same_items()

    @precondition(lambda self: self.replay.size)
    @rule(seed=st.integers(0, 2**32))
    def sample(self, seed: int) -> None:
        sample = self.replay.sample(np.random.default_rng(seed), 0)
        assert isinstance(sample, TransitionSample)
        for i, first in enumerate(sample.observations[""].reshape(16, -1)[:, -1]):
            item = self.plain.items[int(first)]
            assert sample.observations[""][i].tolist() == item.stack
            assert sample.next_observations[""][i].tolist() == item.next_stack
            assert sample.actions[i] == item.action
            assert sample.returns[i] == item.returns
            assert sample.discounts[i] == item.discount
        self.samples.append(sample)

    @precondition(lambda self: self.samples)
    @rule(which=st.integers(0, 99))
    def update(self, which: int) -> None:
        """The sample may be an old one, whose items have been evicted."""
        sample = self.samples[which % len(self.samples)]
        priorities = self.rng.integers(0, 300, 16).astype(np.float32)
        frames = sample.observations[""].reshape(16, -1)[:, -1]
        stale = self.replay.dropped["stale_priorities"]
        self.replay.update_priorities(sample.rows, sample.births, priorities)
        stale += self.plain.update(frames.tolist(), priorities.tolist())
        assert self.replay.dropped["stale_priorities"] == stale
        self.same_items()

    def same_items(self) -> None:
        replay, plain = self.replay, self.plain
        assert replay.size == len(plain.items)
        assert replay.env_steps == plain.env_steps
        assert (replay.oldest_number, replay.newest_number) == plain.numbers
        snapshot = replay.snapshot()
        found = dict(zip(snapshot["numbers"].tolist(), snapshot["priorities"], strict=True))
        assert found.keys() == plain.priorities().keys()
        for number, priorities in plain.priorities().items():
            np.testing.assert_allclose(found[number], priorities, rtol=1e-6)


TestAgainstAPlainReplay = AgainstAPlainReplay.TestCase
TestAgainstAPlainReplay.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)

UNIFORM = ReplayPlan(32, 3, 0.9, None)
PRIORITISED = ReplayPlan(32, 3, 0.9, Prioritisation(0.6, 0.4, 1.0, 100))


def played(replay: Replay, batches: int, seed: int = 5) -> list[bytes]:
    """Adds and samples in turn; the samples."""
    rng, stage = np.random.default_rng(seed), Playing(0, 4, SLOTS, np.random.default_rng(seed))
    found = []
    for number in range(1, batches + 1):
        replay.add(number, stage.play())
        if replay.size:
            sample = replay.sample(rng, number)
            assert isinstance(sample, TransitionSample)
            replay.update_priorities(sample.rows, sample.births, rng.random(32))
            found += [sample.rows.tobytes(), sample.returns.tobytes(), sample.weights.tobytes()]
    return found


@pytest.mark.parametrize("plan", [UNIFORM, PRIORITISED])
def test_the_same_seed_and_batches_give_the_same_samples(plan: ReplayPlan) -> None:
    found = played(replay_of(plan, 4), 20)
    assert found == played(replay_of(plan, 4), 20)
    assert found != played(replay_of(plan, 4), 20, seed=6)


def test_uniform_samples_weigh_the_same() -> None:
    replay = replay_of(UNIFORM, 4)
    played(replay, 5)
    sample = replay.sample(np.random.default_rng(1), 0)
    assert sample.weights.tolist() == [1.0] * 32
    replay.update_priorities(sample.rows, sample.births, np.ones(32))
    assert replay.snapshot() == {}


def test_priorities_come_back_after_the_same_batches() -> None:
    replay = replay_of(PRIORITISED, 4)
    played(replay, 15)
    snapshot = replay.snapshot()
    assert snapshot["numbers"].size == BLOCKS
    restored, stage = replay_of(PRIORITISED, 4), Playing(0, 4, SLOTS, np.random.default_rng(5))
    batches = [(number, stage.play()) for number in range(1, 18)]
    for number, batch in batches[replay.oldest_number - 1 : replay.newest_number]:
        restored.add(number, batch)
    restored.restore_priorities(snapshot)
    # The adders' tails go on, and what is new gets the largest priority that there was.
    for number, batch in batches[15:]:
        batch.extras.clear()
        restored.add(number, batch)
        replay.add(number, batch)
    now, then = restored.snapshot(), replay.snapshot()
    assert now["numbers"].tolist() == then["numbers"].tolist() == [12, 13, 14, 15, 16, 17]
    np.testing.assert_array_equal(now["priorities"], then["priorities"])


def test_a_gap_cuts_returns_at_the_final_observation() -> None:
    rng = np.random.default_rng(1)
    stage, replay = Playing(0, 4, SLOTS, rng, end_chance=0.0), replay_of(UNIFORM, 4)
    replay.add(1, stage.play())
    # Of 4 ticks only the first is followed by 3 more rows.
    assert (replay.size, replay.env_steps) == (2, 8)
    stage.play()
    replay.add(2, stage.play())
    assert (replay.size, replay.env_steps) == (2 * (4 + 1), 16)
    assert replay.dropped["gaps"] == 1
    sample = replay.sample(rng, 0)
    assert isinstance(sample, TransitionSample)
    at_end = np.flatnonzero(sample.observations[""] == frame(0, 1, 3))
    assert len(at_end)
    assert set(sample.next_observations[""][at_end].tolist()) == {frame(0, 1, 4)}
    np.testing.assert_allclose(sample.discounts[at_end], 0.9)


def test_items_are_drawn_from_the_whole_ring() -> None:
    replay = replay_of(UNIFORM, 4, blocks=50)
    played(replay, 80)
    rng = np.random.default_rng(2)
    drawn = Counter(row for _ in range(100) for row in replay.sample(rng, 0).rows.tolist())
    assert len(drawn) == replay.size


def test_an_empty_replay_has_nothing_to_sample() -> None:
    replay = replay_of(UNIFORM, 4)
    assert (replay.size, replay.oldest_number, replay.newest_number) == (0, 0, 0)
    with pytest.raises(ValueError, match="no items yet"):
        replay.sample(np.random.default_rng(1), 0)


def test_a_replay_that_nothing_came_into_has_nothing_for_a_checkpoint() -> None:
    """A learner that ends before its first batch saves all the same."""
    replay = replay_of(PRIORITISED, 4)

    assert replay.snapshot() == {}
    replay.restore_priorities({})


def test_memory_bounds_it_too() -> None:
    def capacity(capacity_bytes: int) -> int:
        return Replay(
            UNIFORM, OBSERVATIONS, ACTIONS, {}, ticks=4, slots=SLOTS,
            capacity_steps=1000, capacity_bytes=capacity_bytes,
        ).capacity  # fmt: skip

    assert capacity(10**9) == 1000
    assert 80 <= capacity(100 * 60) <= 120


def test_a_capacity_below_two_batches_is_refused() -> None:
    with pytest.raises(ConfigError, match="raise the capacity to 16 steps"):
        replay_of(UNIFORM, 4, blocks=1)


def test_a_stack_beyond_what_is_counted_is_refused() -> None:
    with pytest.raises(ConfigError, match="a stack of 257 frames"):
        replay_of(UNIFORM, 4, stack=257)
