from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from stream_batches import PUSHES, rows

from tinyqueue.algorithms.ppo import METRICS, Minibatch, PpoConfig, ppo_loss
from tinyqueue.algorithms.returns import Estimates
from tinyqueue.data.spaces import Leaf
from tinyqueue.distributions import Factored

PLAIN: dict[str, Any] = {"normalise_advantages": False, "entropy_weight": 0.0, "value_weight": 0.0}


def minibatch(
    *, actions: Any, log_mu: Any, valid: Any, advantages: Any, targets: Any, old_values: Any
) -> Minibatch:
    played = rows(actions, log_mu, valid)
    return Minibatch(played, Estimates(targets, advantages), old_values)


def metrics_of(config: PpoConfig, logits: Any, values: Any, **batch: Any) -> dict[str, float]:
    policy = Factored({"": Leaf("uint8", (), n=logits.shape[-1])})
    outputs = {"logits": logits}
    loss, rest = ppo_loss(config, np.float32(0.2), policy, outputs, values, minibatch(**batch))
    names = [name for name in METRICS if name != "grad_norm"]
    return dict(zip(names, (float(x) for x in (loss, *rest)), strict=True))


def four_ticks(config: PpoConfig, ratios: list[float], advantages: list[float]) -> dict[str, Any]:
    """Of one slot whose policy is uniform over two; ``gradient`` is that of each tick's log π."""
    shape = (len(ratios), 1)
    logits = tf.Variable(np.zeros((*shape, 2), np.float32))
    with tf.GradientTape() as tape:
        loss, rest = ppo_loss(
            config,
            np.float32(0.2),
            Factored(PUSHES),
            {"logits": logits},
            np.zeros(shape, np.float32),
            minibatch(
                actions=np.zeros(shape, np.int32),
                log_mu=np.log(np.float32(0.5) / np.array(ratios, np.float32))[:, None],
                valid=np.ones(shape, bool),
                advantages=np.array(advantages, np.float32)[:, None],
                targets=np.zeros(shape, np.float32),
                old_values=np.zeros(shape, np.float32),
            ),
        )
    names = [name for name in METRICS if name != "grad_norm"]
    numbers: dict[str, Any] = {name: float(x) for name, x in zip(names, (loss, *rest), strict=True)}
    # Half of what log π has: the other logit has the other half.
    gradient = 2 * tape.gradient(loss, logits).numpy()[:, 0, 0]
    return {**numbers, "gradient": gradient}


def test_the_ratio_is_cut_where_going_on_would_gain() -> None:
    # Given ratios on both sides of 1 ± 0.2, and advantages of both signs
    got = four_ticks(PpoConfig(**PLAIN), [1.5, 1.5, 0.5, 0.5], [1.0, -1.0, 1.0, -1.0])
    # Then −min(ρA, cut(ρ)A) is −1.2, 1.5, −0.5 and 0.8
    assert got["policy_loss"] == pytest.approx((-1.2 + 1.5 - 0.5 + 0.8) / 4, abs=1e-6)
    assert got["loss"] == got["policy_loss"]
    # … and only ticks 1 and 2, which got worse, teach: −ρA/4
    np.testing.assert_allclose(got["gradient"], [0, 1.5 / 4, -0.5 / 4, 0], atol=1e-6)
    assert got["clip_fraction"] == 1.0
    assert got["mean_rho"] == pytest.approx(1.0, abs=1e-6)
    # KL: mean of ρ − 1 − ln ρ
    assert got["approx_kl"] == pytest.approx(-np.log(0.75) / 2, abs=1e-6)


def test_within_the_clip_the_gradient_is_that_of_the_policy_gradient() -> None:
    got = four_ticks(PpoConfig(**PLAIN), [1.1, 0.9], [2.0, -3.0])
    assert got["clip_fraction"] == 0.0
    np.testing.assert_allclose(got["gradient"], [-1.1, 0.9 * 1.5], atol=1e-6)


def test_a_ratio_out_of_all_bounds_has_a_finite_loss_and_no_gradient() -> None:
    got = four_ticks(PpoConfig(**PLAIN), [1e30, 1e-30], [-1.0, 1.0])
    assert got["policy_loss"] == pytest.approx((20 - 0.05) / 2, rel=1e-5)
    assert got["gradient"].tolist() == [0.0, 0.0]


def plain(
    config: PpoConfig,
    clip: float,
    logits: np.ndarray,
    values: np.ndarray,
    batch: dict[str, np.ndarray],
) -> dict[str, float]:
    """The loss as it is written, tick by tick, in float64."""
    mask = batch["valid"]
    advantages = batch["advantages"][mask].astype(float)
    if config.normalise_advantages:
        advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
    actions, log_mu = batch["actions"][mask], batch["log_mu"][mask]
    numbers: dict[str, list[float]] = {name: [] for name in ("policy", "entropy", "rho", "kl")}
    cut = 0
    for row, action, log_old, advantage in zip(
        logits[mask].astype(float), actions, log_mu, advantages, strict=True
    ):
        policy = np.exp(row) / np.exp(row).sum()
        rho = min(config.max_ratio, max(1 / config.max_ratio, policy[action] / np.exp(log_old)))
        within = min(1 + clip, max(1 - clip, rho))
        cut += rho != within
        numbers["policy"].append(-min(rho * advantage, within * advantage))
        numbers["entropy"].append(-(policy * np.log(policy)).sum())
        numbers["rho"].append(rho)
        numbers["kl"].append(rho - 1 - np.log(rho))
    v, old, now = (x[mask].astype(float) for x in (batch["targets"], batch["old_values"], values))
    squares = (v - now) ** 2
    if config.value_clip is not None:
        near = old + np.clip(now - old, -config.value_clip, config.value_clip)
        squares = np.maximum(squares, (v - near) ** 2)
    means = {name: float(np.mean(each)) for name, each in numbers.items()}
    value_loss = float(squares.mean() / 2)
    return {
        "loss": means["policy"]
        + config.value_weight * value_loss
        - config.entropy_weight * means["entropy"],
        "policy_loss": means["policy"],
        "value_loss": value_loss,
        "entropy": means["entropy"],
        "mean_rho": means["rho"],
        "clip_fraction": cut / mask.sum(),
        "approx_kl": means["kl"],
        "explained_variance": float(1 - (v - now).var() / v.var()),
    }


@pytest.mark.parametrize("value_clip", [None, 0.3])
@pytest.mark.parametrize("normalise", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_random_batches_equal_the_plain_version(
    seed: int, normalise: bool, value_clip: float | None
) -> None:
    rng = np.random.default_rng(seed)
    shape = (7, 5)
    config = PpoConfig(
        normalise_advantages=normalise, value_clip=value_clip, value_weight=0.7, max_ratio=3.0
    )
    valid = rng.random(shape) < 0.8
    floats = ("advantages", "targets", "old_values")
    batch = {
        "actions": rng.integers(0, 3, shape).astype(np.int32),
        "log_mu": np.log(rng.uniform(0.05, 0.9, shape)).astype(np.float32),
        "valid": valid,
        **{name: rng.normal(size=shape).astype(np.float32) for name in floats},
    }
    batch["advantages"] = batch["advantages"] * valid
    logits = rng.normal(size=(*shape, 3)).astype(np.float32)
    values = rng.normal(size=shape).astype(np.float32)
    got = metrics_of(config, logits, values, **batch)
    assert got == pytest.approx(plain(config, 0.2, logits, values, batch), abs=2e-5)


def test_a_batch_without_a_valid_tick_has_a_loss_of_nought() -> None:
    zeros = np.zeros((2, 1), np.float32)
    got = metrics_of(
        PpoConfig(), np.zeros((2, 1, 2), np.float32), zeros, actions=np.zeros((2, 1), np.int32),
        log_mu=zeros, valid=zeros > 0, advantages=zeros, targets=zeros, old_values=zeros,
    )  # fmt: skip
    assert got["loss"] == 0.0
