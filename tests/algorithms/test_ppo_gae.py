from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinyqueue.algorithms.ppo import gae


def column(*numbers: float) -> np.ndarray:
    return np.array(numbers, np.float32)[:, None]


def result(**given: Any) -> tuple[np.ndarray, np.ndarray]:
    estimates = gae(**given)
    return np.asarray(estimates.targets), np.asarray(estimates.advantages)


def test_a_hand_calculation() -> None:
    targets, advantages = result(
        log_rhos=column(0, 0),
        rewards=column(1, -1),
        values=column(1, 2, 3),
        terminated=column(0, 0) > 0,
        valid=column(1, 1) > 0,
        gamma=0.9,
        lambda_=0.5,
    )
    # δ_1 = −1 + 0.9·3 − 2 = −0.3;  δ_0 = 1 + 0.9·2 − 1 = 1.8;  A_0 = 1.8 + 0.9·0.5·(−0.3)
    np.testing.assert_allclose(advantages[:, 0], [1.665, -0.3], atol=1e-6)
    np.testing.assert_allclose(targets[:, 0], [2.665, 1.7], atol=1e-6)


def test_a_correction_cuts_traces_and_targets_but_leaves_a_ticks_own_ratio_to_the_loss() -> None:
    targets, advantages = result(
        log_rhos=np.log(column(0.5, 0.25, 4.0)),
        rewards=column(1, 1, 1),
        values=column(0, 0, 0, 0),
        terminated=column(0, 0, 0) > 0,
        valid=column(1, 1, 1) > 0,
        gamma=1.0,
        lambda_=0.5,
    )
    # v_2 = min(1, 4)·1;  v_1 = 0.25 + 0.5·0.25·1;  v_0 = 0.5 + 0.5·0.5·0.375
    np.testing.assert_allclose(targets[:, 0], [0.59375, 0.375, 1.0], atol=1e-6)
    # A_t = 1 + 0.5·v_{t+1}
    np.testing.assert_allclose(advantages[:, 0], [1.1875, 1.5, 1.0], atol=1e-6)


def test_termination_bootstraps_from_nothing() -> None:
    targets, advantages = result(
        log_rhos=column(0, 0),
        rewards=column(5, 7),
        values=column(1, 1000, 1000),
        terminated=column(1, 0) > 0,
        valid=column(1, 0) > 0,
        gamma=0.9,
        lambda_=0.9,
    )
    assert targets[:, 0].tolist() == [5.0, 1000.0]
    assert advantages[:, 0].tolist() == [4.0, 0.0]


T = 6
VALUES = column(10, 20, 30, 40, 50, 60, 70)


@pytest.mark.parametrize("log_rho", [0.0, 1.5])
@pytest.mark.parametrize("at", [T - 2, T - 1, 0, 1])
def test_truncation_bootstraps_from_the_final_observation_and_stops_there(
    at: int, log_rho: float
) -> None:
    # Given rewards of 1, γ = λ = 1, ratios that are cut to 1, and an episode truncated at tick
    # `at`: the final observation is row at+1, whose tick is the autoreset
    valid = np.ones((T, 1), bool)
    valid[at + 1 : at + 2] = False
    targets, advantages = result(
        log_rhos=np.full((T, 1), log_rho, np.float32),
        rewards=np.ones((T, 1), np.float32),
        values=VALUES,
        terminated=np.zeros((T, 1), bool),
        valid=valid,
        gamma=1.0,
        lambda_=1.0,
    )
    # Then up to it, each target counts the ticks to the end and adds V of the final observation
    final = VALUES[at + 1, 0]
    for t in range(at + 1):
        assert targets[t, 0] == pytest.approx(at + 1 - t + final)
        assert advantages[t, 0] == pytest.approx(at + 1 - t + final - VALUES[t, 0])
    # … the invalid tick asks for nothing
    if at + 1 < T:
        assert targets[at + 1, 0] == final
        assert advantages[at + 1, 0] == 0
    # … and the next episode bootstraps from the last row
    for t in range(at + 2, T):
        assert targets[t, 0] == pytest.approx(T - t + 70)
        assert advantages[t, 0] == pytest.approx(T - t + 70 - VALUES[t, 0])


def naive(
    rewards: np.ndarray,
    values: np.ndarray,
    terminated: np.ndarray,
    valid: np.ndarray,
    gamma: float,
    lambda_: float,
) -> np.ndarray:
    """Advantages by the recursion as it is written, one slot and one tick at a time, in float64."""
    ticks, slots = rewards.shape
    advantages = np.zeros((ticks, slots))
    for b in range(slots):
        after = 0.0
        for t in reversed(range(ticks)):
            discount = 0.0 if terminated[t, b] else gamma
            delta = rewards[t, b] + discount * values[t + 1, b] - values[t, b]
            after = delta + discount * lambda_ * after if valid[t, b] else 0.0
            advantages[t, b] = after
    return advantages


@pytest.mark.parametrize("seed", range(20))
def test_random_batches_equal_the_loop(seed: int) -> None:
    rng = np.random.default_rng(seed)
    ticks, slots = int(rng.integers(1, 40)), int(rng.integers(1, 9))
    ended = rng.random((ticks, slots)) < 0.2
    terminated = ended & (rng.random((ticks, slots)) < 0.5)
    valid = np.ones((ticks, slots), bool)
    for t in range(1, ticks):  # A tick after an end is the autoreset, and ends nothing.
        valid[t] = ~ended[t - 1]
        ended[t] &= valid[t]
        terminated[t] &= valid[t]
    rewards = rng.normal(size=(ticks, slots)).astype(np.float32)
    values = rng.normal(size=(ticks + 1, slots)).astype(np.float32)
    targets, advantages = result(
        log_rhos=np.zeros((ticks, slots), np.float32),
        rewards=rewards,
        values=values,
        terminated=terminated,
        valid=valid,
        gamma=0.97,
        lambda_=0.9,
    )
    expected = naive(rewards, values, terminated, valid, 0.97, 0.9)
    np.testing.assert_allclose(advantages, expected, atol=2e-5)
    np.testing.assert_allclose(targets, expected + values[:-1], atol=2e-5)
