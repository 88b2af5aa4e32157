from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinyqueue.algorithms.q_targets import (
    error_losses,
    rescale,
    sequence_targets,
    state_values,
    taken,
    unscale,
)
from tinyqueue.replay import value_rescaling


def column(*numbers: float) -> np.ndarray:
    return np.array(numbers, np.float32)[:, None]


def targets_of(**given: Any) -> list[float]:
    """Of one sequence of four ticks with rewards 1, 2, 4, 8 and V = 10, 20, 30, 40, 50."""
    values: dict[str, Any] = {
        "rewards": column(1, 2, 4, 8),
        "terminated": column(0, 0, 0, 0) > 0,
        "mask": column(1, 1, 1, 1) > 0,
        "values": column(10, 20, 30, 40, 50),
        "n_step": 2,
        "gamma": 0.5,
    }
    result: list[float] = np.asarray(sequence_targets(**(values | given)))[:, 0].tolist()
    return result


@pytest.mark.parametrize(
    ("n_step", "targets"),
    [
        # 1 + 20/2, 2 + 30/2, 4 + 40/2, 8 + 50/2
        (1, [11.0, 17.0, 24.0, 33.0]),
        # 1 + 2/2 + 30/4, 2 + 4/2 + 40/4, 4 + 8/2 + 50/4; the last has only one tick left
        (2, [9.5, 14.0, 20.5, 33.0]),
        # 1 + 2/2 + 4/4 + 40/8, 2 + 4/2 + 8/4 + 50/8, and as before
        (3, [8.0, 12.25, 20.5, 33.0]),
        # All that there is: 1 + 2/2 + 4/4 + 8/8 + 50/16
        (9, [7.125, 12.25, 20.5, 33.0]),
    ],
)
def test_n_step_targets_end_with_the_sequence(n_step: int, targets: list[float]) -> None:
    assert targets_of(n_step=n_step) == targets


def test_termination_bootstraps_from_nothing() -> None:
    terminated = column(0, 0, 1, 0) > 0
    mask = column(1, 1, 1, 0) > 0
    targets = targets_of(terminated=terminated, mask=mask)
    # 1 + 2/2 + 30/4; 2 + 4/2; 4
    assert targets[:3] == [9.5, 4.0, 4.0]
    assert targets_of(terminated=terminated, mask=mask, n_step=5)[:3] == [3.0, 4.0, 4.0]


@pytest.mark.parametrize(
    ("last", "targets"),
    [
        # The final observation is row last + 1, however far n reaches
        (0, [11.0]),
        (1, [9.5, 17.0]),
        (2, [8.0, 14.0, 24.0]),
        (3, [8.0, 12.25, 20.5, 33.0]),
    ],
)
def test_truncation_bootstraps_from_the_final_observation(last: int, targets: list[float]) -> None:
    mask = np.arange(4)[:, None] <= last
    # Given rewards behind the end, which are of no episode
    assert targets_of(mask=mask, n_step=3)[: last + 1] == targets


def test_a_state_is_worth_its_best_action_or_the_one_that_the_online_network_prefers() -> None:
    target_q, online_q = (
        np.array([[1, 7, 3], [2, 0, 1]], np.float32),
        np.array([[0, 1, 2], [5, 9, 6]], np.float32),
    )
    assert np.asarray(state_values(target_q)).tolist() == [7.0, 2.0]
    assert np.asarray(state_values(target_q, online_q)).tolist() == [3.0, 0.0]


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int64"])
def test_the_q_value_of_the_action_taken(dtype: str) -> None:
    q = np.array([[1, 7, 3], [2, 0, 1]], np.float32)
    assert np.asarray(taken(q, np.array([2, 0], dtype))).tolist() == [3.0, 2.0]


def test_actions_and_masks_that_would_broadcast_are_refused() -> None:
    q = np.zeros((2, 3), np.float32)
    # [2, 1] against [2, 3] is a [2, 2] of every Q with every action
    for actions in (np.zeros((2, 1), np.uint8), np.zeros((), np.uint8), np.zeros(1, np.int64)):
        with pytest.raises(ValueError, match="actions must be "):
            taken(q, actions)
    with pytest.raises(ValueError, match=r"online_q must be float32\[2, 3\]"):
        state_values(q, q[:1])
    with pytest.raises(ValueError, match=r"valid must be bool\[2, 3\], not bool\[3\]"):
        state_values(q, q, np.ones(3, bool))
    with pytest.raises(ValueError, match=r"valid must be bool\[2, 3\], not bool\[2, 1\]"):
        state_values(q, valid=np.ones((2, 1), bool))


def test_rescaling_by_literal_numbers() -> None:
    values = np.array([0, 1, -1, 100, -100, 1e4], np.float32)
    expected = [0, 0.41521356, -0.41521356, 9.14987562, -9.14987562, 109.00499988]
    np.testing.assert_allclose(np.asarray(rescale(values)), expected, rtol=1e-6)


def test_rescaling_is_undone_and_is_what_the_replay_does() -> None:
    values = np.array([-3e4, -100, -1, -1e-3, 0, 1e-3, 0.5, 3, 500, 2e4], np.float32)
    scaled = np.asarray(rescale(values))
    np.testing.assert_allclose(np.asarray(unscale(scaled)), values, rtol=1e-5, atol=1e-6)
    exact = values.astype(np.float64)
    np.testing.assert_allclose(scaled, value_rescaling.rescale(exact), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(
        np.asarray(unscale(values)), value_rescaling.unscale(exact), rtol=1e-5, atol=1e-6
    )


def test_the_loss_is_square_or_bends_at_1() -> None:
    errors = np.array([-3, -1, 0.5, 0, 2], np.float32)
    assert np.asarray(error_losses(errors, huber=False)).tolist() == [4.5, 0.5, 0.125, 0, 2]
    assert np.asarray(error_losses(errors, huber=True)).tolist() == [2.5, 0.5, 0.125, 0, 1.5]
