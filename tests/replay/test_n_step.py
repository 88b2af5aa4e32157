"""Given a window of ticks: literal returns, discounts and steps."""

from __future__ import annotations

import numpy as np
import pytest

from tinyqueue.replay.n_step import n_step

REWARDS = np.array([1, 2, 4, 8, 16], np.float32)[:, None]
NEVER = np.zeros((5, 1), bool)


def at(*ticks: int) -> np.ndarray:
    flags = NEVER.copy()
    flags[list(ticks)] = True
    return flags


def test_three_steps_without_an_end() -> None:
    found = n_step(REWARDS, NEVER, NEVER, 3, 0.5)
    # 1 + 2/2 + 4/4;  2 + 4/2 + 8/4;  4 + 8/2 + 16/4;  8 + 16/2;  16
    assert found.returns[:, 0].tolist() == [3.0, 6.0, 12.0, 16.0, 16.0]
    assert found.discounts[:, 0].tolist() == [0.125, 0.125, 0.125, 0.25, 0.5]
    assert found.steps[:, 0].tolist() == [3, 3, 3, 2, 1]
    assert found.is_whole[:, 0].tolist() == [True, True, True, False, False]


@pytest.mark.parametrize(
    ("end", "returns", "steps"),
    [
        (0, [1.0, 6.0, 12.0], [1, 3, 3]),
        (1, [2.0, 2.0, 12.0], [2, 1, 3]),
        (2, [3.0, 4.0, 4.0], [3, 2, 1]),
        (3, [3.0, 6.0, 8.0], [3, 3, 2]),
        (4, [3.0, 6.0, 12.0], [3, 3, 3]),
    ],
)
@pytest.mark.parametrize("terminates", [True, False])
def test_an_end_at_each_tick(
    end: int, returns: list[float], steps: list[int], terminates: bool
) -> None:
    found = n_step(REWARDS, at(end) if terminates else NEVER, at(end), 3, 0.5)
    assert found.returns[:3, 0].tolist() == returns
    assert found.steps[:3, 0].tolist() == steps
    reached = [tick + m - 1 == end for tick, m in enumerate(steps)]
    kept = [0.0 if over and terminates else 0.5**m for over, m in zip(reached, steps, strict=True)]
    assert found.discounts[:3, 0].tolist() == kept
    assert found.is_whole[: end + 1, 0].all()


def test_a_truncated_end_is_bootstrapped_over_the_ticks_that_were_played() -> None:
    found = n_step(REWARDS, NEVER, at(4), 3, 0.5)
    assert found.discounts[3:, 0].tolist() == [0.25, 0.5]
    assert found.is_whole[3:, 0].all()


def test_one_step_is_the_reward() -> None:
    found = n_step(REWARDS, at(2), at(2), 1, 0.9)
    assert found.returns[:, 0].tolist() == REWARDS[:, 0].tolist()
    assert found.discounts[:, 0].tolist() == [0.9, 0.9, 0.0, 0.9, 0.9]
    assert found.is_whole.all()


def test_more_steps_than_ticks() -> None:
    found = n_step(REWARDS, NEVER, NEVER, 10, 1.0)
    assert found.returns[:, 0].tolist() == [31.0, 30.0, 28.0, 24.0, 16.0]
    assert found.steps[:, 0].tolist() == [5, 4, 3, 2, 1]
    assert not found.is_whole.any()


def test_slots_do_not_mix() -> None:
    rewards = np.concatenate([REWARDS, -REWARDS], axis=1)
    ended = np.concatenate([at(0), NEVER], axis=1)
    found = n_step(rewards, NEVER.repeat(2, axis=1), ended, 2, 1.0)
    assert found.returns.tolist() == [[1, -3], [6, -6], [12, -12], [24, -24], [16, -16]]


def test_what_was_given_is_left_as_it_was() -> None:
    terminated, ended = at(1), at(1)
    n_step(REWARDS, terminated, ended, 3, 0.5)
    assert terminated[:, 0].tolist() == ended[:, 0].tolist() == [False, True, False, False, False]
