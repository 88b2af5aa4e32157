from __future__ import annotations

import numpy as np
import pytest
from stream_batches import ACTIONS, trajectories

from tinyqueue.algorithms.impala import METRICS, A3cConfig, ImpalaConfig, impala_loss
from tinyqueue.distributions import Factored

LN3 = np.log(3)


def metrics_of(config: ImpalaConfig, rewards: list[float]) -> dict[str, float]:
    """One slot whose policy is uniform over 3, μ = 1/2 of every action taken, V = 0."""
    ticks = len(rewards)
    rows = np.zeros((ticks, 1), np.float32)
    batch = trajectories(
        actions=rows.astype(np.uint8) + 2,
        log_mu=np.log(rows + np.float32(0.5)),
        valid=rows == 0,
        rewards=np.array(rewards, np.float32)[:, None],
    )
    outputs = {"logits": np.zeros((ticks, 1, 3), np.float32)}
    values = np.zeros((ticks + 1, 1), np.float32)
    loss, rest = impala_loss(config, Factored(ACTIONS), outputs, values, batch)
    names = [name for name in METRICS if name != "grad_norm"]
    return dict(zip(names, (float(x) for x in (loss, *rest)), strict=True))


def test_the_loss_is_the_formula_by_hand() -> None:
    config = ImpalaConfig(
        gamma=0.5, value_weight=0.5, entropy_weight=0.01, normalise_advantages=False
    )
    metrics = metrics_of(config, [4.0])
    # ρ = (1/3)/(1/2) = 2/3; A = v − V = ρ·4; the loss is ln 3·A + ½·½·A² − 0.01·ln 3
    assert metrics["mean_rho"] == pytest.approx(2 / 3, abs=1e-6)
    assert metrics["policy_loss"] == pytest.approx(LN3 * 8 / 3, abs=1e-5)
    assert metrics["value_loss"] == pytest.approx(0.5 * (8 / 3) ** 2, abs=1e-5)
    assert metrics["entropy"] == pytest.approx(LN3, abs=1e-6)
    expected = LN3 * 8 / 3 + 0.25 * (8 / 3) ** 2 - 0.01 * LN3
    assert metrics["loss"] == pytest.approx(expected, abs=1e-5)


def test_without_a_correction_the_target_is_the_n_step_return() -> None:
    config = A3cConfig(gamma=0.5, normalise_advantages=False, loss_reduction="sum")
    # v = (4 + 0.5·2, 2) = (5, 2)
    metrics = metrics_of(config, [4.0, 2.0])
    assert metrics["policy_loss"] == pytest.approx(LN3 * 7, abs=1e-5)
    assert metrics["value_loss"] == pytest.approx(0.5 * (25 + 4), abs=1e-5)


def test_normalised_advantages_have_mean_0_and_deviation_1() -> None:
    # Advantages 5 and 2 become 1 and −1, and a uniform policy's log-probabilities cancel
    config = A3cConfig(gamma=0.5)
    assert metrics_of(config, [4.0, 2.0])["policy_loss"] == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize(("rewards", "explained"), [([4.0, 2.0], 0.0), ([0.0, 0.0], 0.0)])
def test_a_value_that_is_constant_explains_nothing(rewards: list[float], explained: float) -> None:
    metrics = metrics_of(A3cConfig(gamma=0.5), rewards)
    assert metrics["explained_variance"] == pytest.approx(explained, abs=1e-6)
