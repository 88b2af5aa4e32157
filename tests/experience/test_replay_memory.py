"""Samples and inserts in step, and a replay that goes on where it was left."""

from dataclasses import replace

import numpy as np
import pytest

from tinyqueue.errors import ConfigError
from tinyqueue.experience.replay_memory import ReplayMemory
from tinyqueue.replay.plan import Prioritisation, ReplayPlan
from tinyqueue.run.checkpoint import ReplayState

PLAN = ReplayPlan(
    batch_size=4, n_step=1, gamma=0.9, prioritisation=Prioritisation(0.6, 0.4, 0.4, 0)
)


@pytest.fixture
def make_memory(make_experiment_of, contract):
    def make(plan=PLAN, **replay):
        section = {
            "capacity_steps": 80,
            "minimum_steps": 16,
            "samples_per_insert": 2.0,
            "tolerance_steps": 8,
        } | replay
        experiment = make_experiment_of(algorithm={"name": "apex"}, replay=section)
        return ReplayMemory(experiment, plan, contract)

    return make


@pytest.fixture
def played(make_batch):
    """Batches of 8 env steps whose observations differ."""

    def make(n):
        batch = make_batch(n)
        observations = {path: x + np.float32(n) for path, x in batch.observations.items()}
        return replace(batch, observations=observations)

    return make


def fill(memory, played, numbers):
    for n in numbers:
        memory.admit(8)
        memory.add(n + 1, played(n))


def test_nothing_is_drawn_before_the_minimum_and_players_are_let_through(make_memory, played):
    memory = make_memory()
    fill(memory, played, [0])

    assert memory.may_insert
    assert not memory.may_sample

    fill(memory, played, [1])
    assert memory.may_sample


def test_each_side_waits_for_the_other_at_the_ratio(make_memory, played):
    # Given room for 2 × 8 ticks either way, beyond a minimum of 16 env steps
    memory = make_memory()
    fill(memory, played, [0, 1])

    drawn = 0
    while memory.may_sample:
        memory.sample(0)
        drawn += 4
    assert drawn == 16

    added = 2
    while memory.may_insert:
        fill(memory, played, [added])
        added += 1
    # 2 × (16 + 8·3 − 16) = 48 are asked for, 16 were drawn: 32 are more than 16 owed.
    assert added == 5
    assert memory.may_sample
    assert memory.samples_per_insert == 16 / 24


def test_of_a_sequence_only_ticks_that_were_played_count(make_memory, played):
    # Given sequences of 6 ticks over batches of 4: the last ones have no ticks to go on with
    memory = make_memory(replace(PLAN, burn_in=1, unroll=5), minimum_steps=20)
    fill(memory, played, range(5))

    sample = memory.sample(0)

    assert memory.state().limiter["sampled"] == sample.mask[1:].sum()
    assert not sample.mask.all()


def test_a_restored_memory_holds_the_same_items_priorities_and_counts(make_memory, played):
    memory = make_memory()
    fill(memory, played, range(6))
    for update in range(3):
        sample = memory.sample(update)
        memory.replay.update_priorities(sample.rows, sample.births, np.arange(4.0) + 1)
    kept = memory.state()

    again = make_memory()
    again.restore(((n + 1, played(n)) for n in range(6)), 48, kept, updates=3)

    assert again.replay.size == memory.replay.size
    assert again.state().limiter == kept.limiter == {"inserted": 48, "sampled": 12, "owed": 52}
    for name, array in kept.arrays.items():
        np.testing.assert_array_equal(again.state().arrays[name], array)


def test_env_steps_accepted_after_the_checkpoint_are_owed_their_training(make_memory, played):
    memory = make_memory()
    fill(memory, played, range(2))
    kept = memory.state()

    again = make_memory()
    again.restore(((n + 1, played(n)) for n in range(6)), 48, kept, updates=0)

    assert again.state().limiter == {"inserted": 48, "sampled": 0, "owed": 64}
    assert not again.may_insert
    assert again.may_sample


def test_a_run_that_was_played_serially_begins_to_fill_its_replay(make_memory, played):
    memory = make_memory()

    memory.restore((), 0, ReplayState(), updates=7)

    assert memory.may_insert
    fill(memory, played, [0, 1])
    assert memory.may_sample


@pytest.mark.parametrize(
    ("replay", "said"),
    [
        ({"capacity_steps": 8}, "at least two"),
        ({"minimum_steps": 81}, "can never be reached"),
        ({"capacity_steps": 16, "minimum_steps": 1}, "smaller than one sample of 20"),
    ],
)
def test_a_replay_that_is_too_small_is_refused(make_memory, replay, said):
    with pytest.raises(ConfigError, match=said):
        make_memory(replace(PLAN, batch_size=20), **replay)
