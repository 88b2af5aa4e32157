"""Action masks in the replay: those of the very states that a sample holds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from playing import ACTIONS, OBSERVATIONS, STATE, Playing

from tinyqueue.data.session import SessionBatch
from tinyqueue.replay.plan import ReplayPlan
from tinyqueue.replay.replay import Replay
from tinyqueue.replay.samples import SequenceSample, TransitionSample

BITS, TICKS, SLOTS = 24, 5, 2
PLAN = ReplayPlan(batch_size=400, n_step=3, gamma=0.9, prioritisation=None)


def masked(batch: SessionBatch) -> SessionBatch:
    """With masks that are the binary digits of each frame's number."""
    digits = batch.observations[""][..., None] >> np.arange(BITS) & 1
    return replace(batch, extras={**batch.extras, "action_mask": digits.astype(bool)})


def number(masks: np.ndarray | None) -> np.ndarray:
    assert masks is not None
    return (masks << np.arange(BITS)).sum(axis=-1)


def replay_of(plan: ReplayPlan, mask_size: int = BITS) -> Replay:
    return Replay(
        plan,
        OBSERVATIONS,
        ACTIONS,
        STATE,
        ticks=TICKS,
        slots=SLOTS,
        capacity_steps=12 * TICKS * SLOTS,
        capacity_bytes=10**9,
        mask_size=mask_size,
    )


def filled(plan: ReplayPlan) -> Replay:
    """More batches than it holds, and some that never came."""
    rng = np.random.default_rng(8)
    replay, stage = replay_of(plan), Playing(0, TICKS, SLOTS, rng)
    for n in range(30):
        batch = masked(stage.play())
        if n not in (20, 26):
            replay.add(n, batch)
    return replay


def test_a_transition_has_the_masks_of_both_of_its_states() -> None:
    sample = filled(PLAN).sample(np.random.default_rng(1), 0)
    assert isinstance(sample, TransitionSample)
    assert np.array_equal(number(sample.action_masks), sample.observations[""])
    assert np.array_equal(number(sample.next_action_masks), sample.next_observations[""])


def test_a_sequence_has_the_masks_of_all_of_its_rows() -> None:
    plan = replace(PLAN, n_step=1, burn_in=2, unroll=4)
    sample = filled(plan).sample(np.random.default_rng(1), 0)
    assert isinstance(sample, SequenceSample)
    assert sample.action_masks is not None
    assert sample.action_masks.shape == (7, 400, BITS)
    assert np.array_equal(number(sample.action_masks), sample.observations[""])


@pytest.mark.parametrize("plan", [PLAN, replace(PLAN, n_step=1, burn_in=2, unroll=4)])
def test_without_masks_a_sample_has_none(plan: ReplayPlan) -> None:
    replay, stage = replay_of(plan, 0), Playing(0, TICKS, SLOTS, np.random.default_rng(8))
    for n in range(5):
        replay.add(n, stage.play())
    assert replay.sample(np.random.default_rng(1), 0).action_masks is None
