from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from stream_batches import ACTIONS, OBSERVATIONS, random_batch, rows

from tinyqueue.algorithms.base import LossNotFiniteError
from tinyqueue.algorithms.pqn import METRICS, Minibatch, Pqn, PqnConfig, pqn_loss
from tinyqueue.algorithms.q_targets import lambda_targets
from tinyqueue.data.masks import ACTION_MASK
from tinyqueue.data.session import SessionBatch
from tinyqueue.data.spaces import Array, Leaf
from tinyqueue.errors import ConfigError
from tinyqueue.models.mlp import MlpConfig, build
from tinyqueue.monitor.metrics import Metric

MODEL = MlpConfig(hidden=(8,), layer_norm=True)


def algorithm(actions: Any = ACTIONS, mask_size: int = 0, **settings: Any) -> Pqn:
    given: dict[str, Any] = {"minibatches": 2, "learning_rate": 1e-2, "optimiser": "adam"}
    config = PqnConfig(**given | settings)
    network = build(OBSERVATIONS, actions, Pqn.outputs(actions, config), MODEL, 0)
    return Pqn(config, network, actions, mask_size)


def expected(
    batch: dict[str, Array], values: Array, followed: Array, gamma: float, lambda_: float
) -> Array:
    """λ-returns by the definition, one tick at a time from the end."""
    rewards, valid, terminated = (batch[name] for name in ("rewards", "valid", "terminated"))
    ticks, slots = rewards.shape
    result = np.zeros_like(rewards)
    for slot in range(slots):
        for t in reversed(range(ticks)):
            after = values[t + 1, slot]
            if t + 1 < ticks and valid[t + 1, slot] and followed[t + 1, slot]:
                after = lambda_ * result[t + 1, slot] + (1 - lambda_) * after
            result[t, slot] = rewards[t, slot] + gamma * after * (not terminated[t, slot])
    return result


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("lambda_", [0.0, 0.65, 1.0])
def test_targets_are_those_of_the_definition(seed: int, lambda_: float) -> None:
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(1, 12)), 5)
    batch = {
        "rewards": rng.normal(size=shape).astype(np.float32),
        "terminated": rng.random(shape) < 0.2,
        "valid": rng.random(shape) < 0.8,
    }
    values = rng.normal(size=(shape[0] + 1, shape[1])).astype(np.float32)
    followed = rng.random(shape) < 0.7
    targets = np.asarray(
        lambda_targets(**batch, values=values, is_followed=followed, gamma=0.9, lambda_=lambda_)
    )
    wanted = expected(batch, values, followed, 0.9, lambda_)
    np.testing.assert_allclose(targets[batch["valid"]], wanted[batch["valid"]], atol=1e-5)


def test_the_loss_is_half_the_mean_square_over_valid_ticks() -> None:
    q = np.array([[[1.0, 5.0], [2.0, 7.0]], [[3.0, 0.0], [4.0, 9.0]]], np.float32)
    actions = np.array([[0, 1], [0, 0]], np.uint8)
    valid = np.array([[True, True], [True, False]])
    played = rows(actions, np.zeros((2, 2), np.float32), valid)
    targets = np.array([[2.0, 4.0], [3.0, 1e6]], np.float32)
    loss, metrics = pqn_loss(q, actions, Minibatch(played, targets))
    # Errors 1, -3 and 0; the last tick was not played.
    assert float(loss) == pytest.approx(0.5 * (1 + 9) / 3)
    told = dict(zip(METRICS[2:], map(float, metrics), strict=True))
    assert told[Metric.Q_MEAN] == pytest.approx((1 + 7 + 3) / 3)
    assert told[Metric.TARGET_MEAN] == pytest.approx((2 + 4 + 3) / 3)
    assert told[Metric.TD_ERROR_MEAN] == pytest.approx(4 / 3)


def test_values_come_to_the_returns_of_a_batch() -> None:
    # Given one batch with Monte Carlo returns, trained on again and again
    trained = algorithm(lambda_=1.0, gamma=0.9, epochs=4)
    batch = random_batch(ticks=5, slots=4)
    errors = [
        trained.update([batch], 20 * count).metrics[Metric.TD_ERROR_MEAN] for count in range(200)
    ]
    assert errors[-1] < 0.2 * errors[0]


def test_a_cut_ends_returns_where_the_action_was_not_greedy() -> None:
    # Given updates at no rate, which tell their targets
    batch = random_batch(ticks=5, slots=4)
    means = {
        cut: algorithm(cut=cut, lambda_=1.0, learning_rate=0.0)
        .update([batch], 0)
        .metrics[Metric.TARGET_MEAN]
        for cut in ("none", "non-greedy")
    }
    assert means["none"] != pytest.approx(means["non-greedy"], abs=1e-4)


def test_joint_actions_of_several_entries_are_told_apart() -> None:
    # Given a reward for the joint action (1, 2) alone
    actions = {"": Leaf("uint8", (2,), n=3, nvec=(2, 3))}
    trained = algorithm(actions, lambda_=0.0, gamma=0.0)
    batch = random_batch(ticks=5, slots=4)
    rng = np.random.default_rng(1)
    chosen = np.stack([rng.integers(0, 2, (5, 4)), rng.integers(0, 3, (5, 4))], -1)
    rewards = (chosen == (1, 2)).all(-1).astype(np.float32)
    batch = replace(batch, actions={"": chosen.astype(np.uint8)}, rewards=rewards)
    for count in range(150):
        trained.update([batch], 20 * count)
    q = np.asarray(trained._q(trained._layout.arrays([batch])))[:-1]
    taken = np.take_along_axis(q, (chosen @ (3, 1))[..., None], -1)[..., 0]
    np.testing.assert_allclose(taken[batch.valid], rewards[batch.valid], atol=0.2)


def test_next_values_are_of_valid_actions_alone() -> None:
    # Given a mask that always leaves only the action of the least value
    trained = algorithm(mask_size=3, lambda_=0.0, gamma=0.5, learning_rate=0.0, minibatches=1)
    batch = random_batch(ticks=5, slots=4)
    batch = replace(batch, rewards=np.zeros_like(batch.rewards))
    q = np.asarray(trained._q(trained._layout.arrays([masked(batch, np.ones((6, 4, 3), bool))])))
    only = q == q.min(axis=-1, keepdims=True)
    told = trained.update([masked(batch, only)], 0).metrics[Metric.TARGET_MEAN]
    targets = 0.5 * q.min(axis=-1)[1:] * ~batch.terminated
    assert told == pytest.approx(targets[batch.valid].mean(), abs=1e-5)


def masked(batch: SessionBatch, mask: Array) -> SessionBatch:
    return replace(batch, extras={**batch.extras, ACTION_MASK: mask})


@pytest.mark.parametrize("value", [np.nan, np.inf, 3e38])
def test_a_failed_update_leaves_everything_as_it_was(value: float) -> None:
    trained, batch = algorithm(), random_batch()
    trained.update([batch], 0)
    before = trained.state()
    batch.rewards[0, 1] = value
    assert not trained.is_sound([batch], 20)
    with pytest.raises(LossNotFiniteError, match="step"):
        trained.update([batch], 20)
    for name, array in trained.state().items():
        np.testing.assert_array_equal(array, before[name], err_msg=name)


def test_minibatches_must_divide_the_env_steps() -> None:
    Pqn.check(PqnConfig(minibatches=10), 5, 4)
    with pytest.raises(ConfigError, match=r"algorithm\.minibatches = 3"):
        Pqn.check(PqnConfig(minibatches=3), 5, 4)
