"""Discounted returns on the way, over the borders of batches."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyqueue.data.discounted_returns import DiscountedReturns
from tinyqueue.data.names import EPISODE_STEPS
from tinyqueue.data.session import Header, SessionBatch
from tinyqueue.data.spaces import Array

HEADER = Header("e", "r", "0" * 32, 0, "u", "p", 0, 0)


def batch(
    rewards: object,
    n: int = 0,
    ended: object = None,
    valid: object = None,
    stage: str = "a",
    steps: object = None,
) -> SessionBatch:
    """``[T, B]`` rewards, and where episodes end."""
    earned = np.asarray(rewards, np.float32)
    ends = np.zeros(earned.shape, bool) if ended is None else np.asarray(ended, bool)
    is_valid = np.ones(earned.shape, bool) if valid is None else np.asarray(valid, bool)
    carry = {} if steps is None else {EPISODE_STEPS: np.asarray(steps, np.int32)}
    header = replace(HEADER, stage=stage, n=n)
    never = np.zeros(earned.shape, bool)
    return SessionBatch(header, {}, {}, earned, ends, never, is_valid, carry=carry)


def test_a_return_by_hand():
    # Given an end at tick 1, an autoreset at tick 2, and an episode that begins at tick 3
    found = DiscountedReturns(0.5).of(
        batch(
            [[2.0], [4.0], [9.0], [1.0], [1.0]],
            ended=[[0], [1], [0], [0], [0]],
            valid=[[1], [1], [0], [1], [1]],
        )
    )

    assert found.tolist() == [2.0, 5.0, 1.0, 1.5]


def plain(rewards: Array, ended: Array, valid: Array, gamma: float) -> list[float]:
    """One slot, tick by tick."""
    found, so_far = [], 0.0
    for reward, ends, counts in zip(rewards, ended, valid, strict=True):
        if counts:
            so_far = gamma * so_far + float(reward)
            found.append(so_far)
        if ends or not counts:
            so_far = 0.0
    return found


@given(st.integers(0, 2**32), st.integers(1, 6), st.integers(1, 4), st.floats(0, 1))
def test_batches_of_many_stages_in_turn_are_each_one_long_session(seed, ticks, stages, gamma):
    # Given stages of three slots that play five batches each
    rng = np.random.default_rng(seed)
    shape = (stages, 5 * ticks, 3)
    rewards = rng.normal(size=shape).astype(np.float32)
    valid = rng.random(shape) < 0.9
    ended = (rng.random(shape) < 0.2) & valid
    returns = DiscountedReturns(gamma)
    found: list[list[Array]] = [[] for _ in range(stages)]

    # When batches arrive in order within a stage, and stages in any order
    for stage in rng.permutation(np.repeat(np.arange(stages), 5)):
        n = len(found[stage])
        rows = slice(n * ticks, (n + 1) * ticks)
        ends, counts = ended[stage, rows], valid[stage, rows]
        played = batch(rewards[stage, rows], n, ends, counts, stage=str(stage))
        found[stage].append(returns.of(played))

    # Then the returns are those of whole sessions
    for stage in range(stages):
        expected = [
            plain(rewards[stage, :, b], ended[stage, :, b], valid[stage, :, b], gamma)
            for b in range(3)
        ]
        together = np.sort(np.concatenate(found[stage]))
        np.testing.assert_allclose(
            together, np.sort(np.concatenate(expected)), rtol=1e-6, atol=1e-9
        )


def test_after_a_gap_nothing_counts_until_an_episode_begins():
    returns = DiscountedReturns(0.99)
    returns.of(batch([[1.0]], n=0))

    # Batch 1 is missing. Its episode goes on in slot 0 of batch 2 until tick 1.
    found = returns.of(
        batch(
            [[7.0], [7.0], [7.0], [3.0]], 2, [[0], [1], [0], [0]], [[1], [1], [0], [1]], steps=[9]
        )
    )

    assert found.tolist() == [3.0]


def test_an_episode_that_begins_after_a_gap_counts_at_once():
    returns = DiscountedReturns(0.5)

    assert returns.of(batch([[1.0, 5.0], [1.0, 5.0]], n=8, steps=[0, 3])).tolist() == [1.0, 1.5]


def test_what_is_missing_counts_less_and_less():
    # 0.5⁵ = 0.03125 is the first weight of the unseen past below 0.05.
    assert len(DiscountedReturns(0.5).of(batch(np.ones((7, 1)), n=3))) == 3
    # Without a discount it never fades.
    assert len(DiscountedReturns(1.0).of(batch(np.ones((99, 1)), n=3))) == 0


def test_a_batch_that_comes_again_does_not_continue_itself():
    returns = DiscountedReturns(0.9)
    returns.of(batch([[1.0]], n=0))

    assert returns.of(batch([[1.0]], n=0)).tolist() == pytest.approx([1.0])


def test_memory_is_bounded_and_the_silent_are_forgotten_first():
    # Given room for four slots
    returns = DiscountedReturns(0.9, most_slots=4)
    for stage in ("a", "b"):
        returns.of(batch([[1.0, 1.0]], n=0, stage=stage))
    returns.of(batch([[1.0, 1.0]], n=1, stage="a"))

    # When a third stage comes
    returns.of(batch([[1.0, 1.0]], n=0, stage="c"))

    # Then the one that was silent longest has a gap, and the others have none
    assert len(returns.of(batch([[1.0, 1.0]], n=2, stage="a"))) == 2
    assert len(returns.of(batch([[1.0, 1.0]], n=1, stage="b", steps=[1, 1]))) == 0
