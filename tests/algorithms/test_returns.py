from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinyqueue.algorithms.returns import vtrace

ONES = {"rho_clip": 1.0, "c_clip": 1.0, "pg_rho_clip": 1.0, "lambda_": 1.0}


def column(*numbers: float) -> np.ndarray:
    return np.array(numbers, np.float32)[:, None]


def result(**given: Any) -> tuple[np.ndarray, np.ndarray]:
    estimates = vtrace(**given)
    return np.asarray(estimates.targets), np.asarray(estimates.advantages)


def test_a_hand_calculation() -> None:
    targets, advantages = result(
        log_rhos=np.log(column(2.0, 0.5)),
        rewards=column(1, -1),
        values=column(1, 2, 3),
        terminated=column(0, 0) > 0,
        valid=column(1, 1) > 0,
        gamma=0.9,
        **ONES,
    )
    # δ_1 = 0.5·(−1 + 0.9·3 − 2) = −0.15;  v_1 = 2 − 0.15
    # δ_0 = 1·(1 + 0.9·2 − 1) = 1.8;       v_0 = 1 + 1.8 + 0.9·1·(−0.15)
    np.testing.assert_allclose(targets[:, 0], [2.665, 1.85], atol=1e-6)
    # A_0 = 1·(1 + 0.9·1.85 − 1);          A_1 = 0.5·(−1 + 0.9·3 − 2)
    np.testing.assert_allclose(advantages[:, 0], [1.665, -0.15], atol=1e-6)


def test_every_clip_and_lambda_has_its_own_place() -> None:
    targets, advantages = result(
        log_rhos=np.log(column(4.0, 4.0)),
        rewards=column(1, 1),
        values=column(0, 0, 0),
        terminated=column(0, 0) > 0,
        valid=column(1, 1) > 0,
        gamma=1.0,
        rho_clip=2.0,
        c_clip=3.0,
        pg_rho_clip=1.5,
        lambda_=0.5,
    )
    # v_1 = 2;  v_0 = 2 + 0.5·3·2 = 5;  A_0 = 1.5·(1 + 2);  A_1 = 1.5·1
    assert targets[:, 0].tolist() == pytest.approx([5.0, 2.0], abs=1e-5)
    assert advantages[:, 0].tolist() == pytest.approx([4.5, 1.5], abs=1e-5)


def test_termination_bootstraps_from_nothing() -> None:
    targets, advantages = result(
        log_rhos=column(0),
        rewards=column(5),
        values=column(1, 1000),
        terminated=column(1) > 0,
        valid=column(1) > 0,
        gamma=0.9,
        **ONES,
    )
    assert targets[0, 0] == pytest.approx(5.0)
    assert advantages[0, 0] == pytest.approx(4.0)


T = 6
VALUES = column(10, 20, 30, 40, 50, 60, 70)


@pytest.mark.parametrize("at", [T - 2, T - 1, 0, 1])
def test_truncation_bootstraps_from_the_final_observation_and_stops_there(at: int) -> None:
    # Given rewards of 1, γ = 1, on-policy, and an episode truncated at tick `at`: the final
    # observation is row at+1, whose tick is the autoreset
    valid = np.ones((T, 1), bool)
    valid[at + 1 : at + 2] = False
    targets, advantages = result(
        log_rhos=np.zeros((T, 1), np.float32),
        rewards=np.ones((T, 1), np.float32),
        values=VALUES,
        terminated=np.zeros((T, 1), bool),
        valid=valid,
        gamma=1.0,
        **ONES,
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


def naive(
    rhos: np.ndarray,
    rewards: np.ndarray,
    values: np.ndarray,
    terminated: np.ndarray,
    valid: np.ndarray,
    gamma: float,
    lambda_: float,
) -> tuple[np.ndarray, np.ndarray]:
    """The recursion as it is written, one slot and one tick at a time, in float64."""
    ticks, slots = rewards.shape
    targets, advantages = np.zeros((2, ticks, slots))
    for b in range(slots):
        after = values[ticks, b]
        for t in reversed(range(ticks)):
            discount = 0.0 if terminated[t, b] else gamma
            if valid[t, b]:
                rho, c = min(1.3, rhos[t, b]), lambda_ * min(0.9, rhos[t, b])
                ahead = values[t + 1, b]
                delta = rho * (rewards[t, b] + discount * ahead - values[t, b])
                target = values[t, b] + delta + discount * c * (after - ahead)
                advantage = min(1.1, rhos[t, b]) * (rewards[t, b] + discount * after - values[t, b])
            else:
                target, advantage = values[t, b], 0.0
            targets[t, b], advantages[t, b] = target, advantage
            after = target
    return targets, advantages


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
    log_rhos = rng.normal(size=(ticks, slots)).astype(np.float32)
    rewards = rng.normal(size=(ticks, slots)).astype(np.float32)
    values = rng.normal(size=(ticks + 1, slots)).astype(np.float32)
    targets, advantages = result(
        log_rhos=log_rhos,
        rewards=rewards,
        values=values,
        terminated=terminated,
        valid=valid,
        gamma=0.97,
        rho_clip=1.3,
        c_clip=0.9,
        pg_rho_clip=1.1,
        lambda_=0.95,
    )
    expected = naive(np.exp(log_rhos), rewards, values, terminated, valid, 0.97, 0.95)
    np.testing.assert_allclose(targets, expected[0], atol=2e-5)
    np.testing.assert_allclose(advantages, expected[1], atol=2e-5)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"values": column(1, 2)}, r"values must be float32\[3, 1\], not float32\[2, 1\]"),
        (
            {"rewards": np.array([1, -1], np.float32)},
            r"rewards must be float32\[…, …\], not float32\[2\]",
        ),
        ({"valid": column(1, 1)}, r"valid must be bool\[2, 1\], not float32\[2, 1\]"),
        ({"log_rhos": column(0)}, r"log_rhos must be float32\[2, 1\], not float32\[1, 1\]"),
    ],
)
def test_shapes_that_would_broadcast_to_nonsense_are_refused(
    wrong: dict[str, np.ndarray], said: str
) -> None:
    fitting: dict[str, Any] = {
        "log_rhos": column(0, 0),
        "rewards": column(1, -1),
        "values": column(1, 2, 3),
        "terminated": column(0, 0) > 0,
        "valid": column(1, 1) > 0,
    }
    with pytest.raises(ValueError, match=said):
        vtrace(**(fitting | wrong), gamma=0.9, lambda_=1.0)
