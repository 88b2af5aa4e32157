"""A session batch that was withdrawn is never read again, by any item."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pole import ACTIONS, OBSERVATIONS, SLOTS, TICKS, _batch

from tinyqueue.data.session import SessionBatch
from tinyqueue.replay.plan import Prioritisation, ReplayPlan
from tinyqueue.replay.replay import Replay
from tinyqueue.replay.samplers import PrioritisedSampler
from tinyqueue.replay.samples import SequenceSample

PRIORITISED = Prioritisation(0.6, 0.4, 0.4, 0)
PLANS = {
    "1-step": ReplayPlan(16, 1, 0.9, None),
    "5-step": ReplayPlan(16, 5, 0.9, PRIORITISED),
    "sequences": ReplayPlan(16, 2, 0.9, PRIORITISED, burn_in=2, unroll=7),
}
STAGES = ("a" * 32, "b" * 32, "c" * 32)


def numbered(number: int, stage: int, n: int, rng: np.random.Generator) -> SessionBatch:
    """A batch whose observations are its number, and whose bootstrap row is 0."""
    ended = rng.random() < 0.3
    batch = _batch(n, stage=STAGES[stage], user=f"rack-{stage}", returns=[1.0] if ended else [])
    observations = np.full((TICKS + 1, SLOTS, 4), number, np.float32)
    observations[-1] = 0
    carry = {"episode_steps": np.full(SLOTS, 3 * n, np.int32)}
    return replace(batch, observations={"": observations}, carry=carry)


@pytest.mark.parametrize("stack", [1, 3])
@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("seed", range(4))
def test_nothing_reads_what_was_withdrawn(plan: str, stack: int, seed: int) -> None:
    # Given three stages, and batches withdrawn now and then because of some item
    rng = np.random.default_rng(seed)
    replay = Replay(
        PLANS[plan],
        OBSERVATIONS,
        ACTIONS,
        {},
        ticks=TICKS,
        slots=SLOTS,
        capacity_steps=20 * TICKS * SLOTS,
        capacity_bytes=1 << 30,
        stack=stack,
    )
    next_n, gone = [0, 0, 0], set()
    stage_of: dict[int, int] = {}
    for number in range(1, 120):
        stage = int(rng.integers(3))
        stage_of[number] = stage
        replay.add(number, numbered(number, stage, next_n[stage], rng))
        # Now and then a batch is lost on its way
        next_n[stage] += 1 if rng.random() < 0.9 else 2
        if not replay.size:
            continue
        sample = replay.sample(rng, 0)
        seen = {int(value) for value in np.unique(sample.observations[""])}
        # Then no item reads a batch that has gone
        assert seen.isdisjoint(gone)
        if rng.random() < 0.2:
            items = rng.choice(16, 2)
            # And the same items withdrawn again are no others
            ahead = replay.sample(rng, 0)
            taken_out = replay.withdraw(sample.rows[items], sample.births[items])
            # And a sample that was drawn ahead is not trained on with what has gone
            held = replay.holds(ahead.rows, ahead.births)
            if not isinstance(ahead, SequenceSample):
                lost = {batch.number for batch in taken_out}
                for read in (ahead.observations[""], ahead.next_observations[""]):
                    assert lost.isdisjoint(np.unique(read[held]).astype(int).tolist())
            # And nothing is withdrawn for the sake of items that went with it
            assert replay.withdraw(ahead.rows[~held], ahead.births[~held]) == []
            assert replay.withdraw(sample.rows[items], sample.births[items]) == []
            chosen = sample.repeated(items.tolist())
            axis = 1 if isinstance(sample, SequenceSample) else 0
            assert chosen.observations[""].shape[axis] == 2
            first = {int(value) for value in np.unique(chosen.observations[""])} - {0}
            if stack == 1 and not isinstance(sample, SequenceSample):
                assert first <= {batch.number for batch in taken_out}
            assert taken_out
            assert all(batch.user == f"rack-{stage_of[batch.number]}" for batch in taken_out)
            gone |= {batch.number for batch in taken_out}
            assert not replay.holds(sample.rows[items], sample.births[items]).any()
            numbers = replay.snapshot().get("numbers", np.empty(0))
            assert gone.isdisjoint(numbers.tolist())
    assert gone


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38, 1e-42])
def test_a_priority_that_is_not_finite_never_enters_the_tree(value: float) -> None:
    sampler = PrioritisedSampler(64, PRIORITISED)
    rows = np.arange(8)
    sampler.add(rows, np.where(rows == 2, value, 1.0).astype(np.float32))
    sampler.update(rows, np.where(rows == 5, value, 1.0).astype(np.float32))

    kept = sampler.snapshot(np.arange(1), 64)

    assert np.isfinite(kept["priorities"]).all()
    assert np.isfinite(kept["largest"]).all()
    drawn = sampler.draw(np.random.default_rng(0), 100, 0)
    assert np.isfinite(drawn.weights).all()
    assert (drawn.weights > 0).all()
