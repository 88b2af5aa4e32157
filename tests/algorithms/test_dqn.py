"""Updates by hand: without hidden layers and with one-hot states, a network is a table of Q."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tinyqueue.algorithms import dqn as dqn_module
from tinyqueue.algorithms.base import LossNotFiniteError
from tinyqueue.algorithms.dqn import (
    ApexConfig,
    DoubleDqnConfig,
    Dqn,
    DqnConfig,
    NStepQConfig,
    OneStepQConfig,
    RainbowLiteConfig,
)
from tinyqueue.algorithms.value import ValueConfig
from tinyqueue.data.spaces import Arrays, Leaf
from tinyqueue.errors import CheckpointError, ConfigError
from tinyqueue.models.mlp import MlpConfig, build
from tinyqueue.replay.plan import Prioritisation, ReplayPlan
from tinyqueue.replay.samples import TransitionSample

ACTIONS = {"": Leaf("uint8", (), n=2)}
STATES = {"": Leaf("uint8", (), n=3)}
ONLINE_Q = np.array([[1, 2], [3, 5], [0, 0]], np.float32)
TARGET_Q = np.array([[10, 20], [40, 30], [0, 0]], np.float32)


def table(config: ValueConfig | None = None) -> Dqn:
    """ONLINE_Q and TARGET_Q of three states and two actions."""
    config = config or DqnConfig()
    network = build(STATES, ACTIONS, Dqn.outputs(ACTIONS, config), MlpConfig(hidden=()), 0)
    trained = Dqn(config, network, ACTIONS)
    state = trained.state()
    state["model/q/kernel"], state["target/q/kernel"] = ONLINE_Q, TARGET_Q
    trained.restore(state)
    return trained


def perceptron(config: ValueConfig | None = None, seed: int = 0) -> Dqn:
    config = config or DqnConfig()
    network = build(STATES, ACTIONS, Dqn.outputs(ACTIONS, config), MlpConfig(hidden=(8,)), seed)
    return Dqn(config, network, ACTIONS)


def two_transitions(**given: Any) -> TransitionSample:
    """(0, 1) → R 1 and D ½ in state 1; (1, 0) → R 3½ and the end."""
    sample = TransitionSample(
        rows=np.array([5, 6]),
        births=np.array([1, 1]),
        observations={"": np.array([0, 1], np.uint8)},
        actions=np.array([1, 0], np.uint8),
        returns=np.array([1, 3.5], np.float32),
        discounts=np.array([0.5, 0], np.float32),
        next_observations={"": np.array([1, 2], np.uint8)},
        weights=np.array([1, 0.5], np.float32),
    )
    return replace(sample, **given)


def weights(trained: Dqn, part: str = "model/") -> Arrays:
    return {
        name.removeprefix(part): a for name, a in trained.state().items() if name.startswith(part)
    }


def assert_equal(one: Arrays, other: Arrays) -> None:
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])


def differ(one: Arrays, other: Arrays) -> bool:
    return any((one[name] != other[name]).any() for name in one)


@pytest.mark.parametrize(
    ("double", "error"),
    [
        # 1 + ½·max(40, 30) − 2
        (False, 19.0),
        # Online, action 1 is the better one in state 1: 1 + ½·30 − 2
        (True, 14.0),
    ],
)
@pytest.mark.parametrize("huber", [True, False])
def test_the_loss_is_the_formula_by_hand(double: bool, error: float, huber: bool) -> None:
    trained = table(DqnConfig(double=double, huber=huber, prioritised=True))
    update = trained.update(two_transitions(), 0)
    assert update.priorities is not None
    assert update.priorities.tolist() == pytest.approx([error, 0.5])
    assert update.metrics["td_error_mean"] == pytest.approx((error + 0.5) / 2)
    assert update.metrics["q_mean"] == pytest.approx(2.5)
    assert update.metrics["target_mean"] == pytest.approx((error + 2 + 3.5) / 2)
    first = error - 0.5 if huber else error**2 / 2
    assert update.metrics["loss"] == pytest.approx((first + 0.5 * 0.125) / 2)


def test_only_the_actions_taken_are_moved_and_towards_their_targets() -> None:
    trained = table(DqnConfig(learning_rate=0.01))
    trained.update(two_transitions(), 0)
    step = weights(trained)["q/kernel"] - ONLINE_Q
    np.testing.assert_allclose(step, [[0.0, 0.01], [0.01, 0.0], [0.0, 0.0]], atol=1e-6)
    np.testing.assert_array_equal(weights(trained, "target/")["q/kernel"], TARGET_Q)


def test_an_item_of_no_weight_moves_nothing() -> None:
    trained = table()
    trained.update(two_transitions(weights=np.array([0, 0.5], np.float32)), 0)
    step = weights(trained)["q/kernel"] - ONLINE_Q
    assert step[0].tolist() == [0, 0]
    assert step[1, 0] > 0


def test_drawn_all_alike_there_are_no_priorities_to_write_back() -> None:
    assert table().update(two_transitions(), 0).priorities is None


def test_the_target_network_is_copied_every_so_many_updates_also_over_a_restart() -> None:
    config = DqnConfig(target_every_updates=3)
    trained = perceptron(config)
    first = weights(trained, "target/")
    assert_equal(first, weights(trained))
    trained.update(two_transitions(), 0)
    trained.update(two_transitions(), 0)
    assert_equal(weights(trained, "target/"), first)
    # Given one that goes on from there, then its first update is the third
    other = perceptron(config, seed=9)
    other.restore(trained.state())
    for one in (trained, other):
        one.update(two_transitions(), 0)
        assert_equal(weights(one, "target/"), weights(one))
    assert differ(weights(trained, "target/"), first)
    assert_equal(trained.state(), other.state())


@pytest.mark.parametrize("optimiser", ["adam", "rmsprop", "centred-rmsprop"])
def test_an_update_that_is_not_finite_leaves_the_weights_alone(optimiser: Any) -> None:
    trained = perceptron(DqnConfig(optimiser=optimiser, target_every_updates=2))
    trained.update(two_transitions(), 0)
    before, target = weights(trained), weights(trained, "target/")
    with pytest.raises(LossNotFiniteError, match="was not applied"):
        trained.update(two_transitions(returns=np.array([np.nan, 1], np.float32)), 20)
    assert_equal(before, weights(trained))
    assert_equal(target, weights(trained, "target/"))
    assert np.isfinite(trained.update(two_transitions(), 40).metrics["loss"])
    assert differ(before, weights(trained))


def test_the_gradient_is_cut_to_its_norm() -> None:
    def step(max_grad_norm: float) -> tuple[float, float]:
        config = DqnConfig(
            optimiser="rmsprop", epsilon=1.0, huber=False, max_grad_norm=max_grad_norm
        )
        trained = table(config)
        norm = trained.update(two_transitions(weights=np.array([0.01, 0], np.float32)), 0)
        moved = weights(trained)["q/kernel"] - ONLINE_Q
        return norm.metrics["grad_norm"], float(np.abs(moved).max())

    norm, free = step(1e6)
    # Half of 0.01·19, in the kernel and in the bias
    assert norm == pytest.approx(0.095 * np.sqrt(2))
    same_norm, cut = step(norm / 4)
    assert same_norm == norm
    assert cut == pytest.approx(free / 4, rel=0.01)


def test_the_learning_rate_follows_the_clock() -> None:
    trained = table(DqnConfig(learning_rate=1.0, learning_rate_end=0.5, anneal_steps=100))
    rates = [
        trained.update(two_transitions(), steps).metrics["learning_rate"] for steps in (0, 50, 900)
    ]
    assert rates == [1.0, 0.75, 0.5]


def test_preparing_changes_nothing_but_the_time_of_the_first_update(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = RainbowLiteConfig(batch_size=2, target_every_updates=1)
    prepared, plain = perceptron(config), perceptron(config)
    expected = plain.update(two_transitions(), 0)
    before = prepared.state()
    prepared.prepare(32, 32)
    assert_equal(before, prepared.state())
    # When its graph may not be built again, then it updates all the same, and equally
    monkeypatch.setattr(dqn_module, "state_values", None)
    assert prepared.update(two_transitions(), 0).metrics == expected.metrics
    assert_equal(prepared.state(), plain.state())


def test_a_state_without_a_target_network_is_refused() -> None:
    trained = perceptron()
    state = {name: a for name, a in trained.state().items() if not name.startswith("target/")}
    with pytest.raises(CheckpointError, match="target/"):
        trained.restore(state)


def test_a_network_that_looks_back_is_refused() -> None:
    config = MlpConfig(hidden=(8,), core="gru")
    network = build(STATES, ACTIONS, Dqn.outputs(ACTIONS, DqnConfig()), config, 0)
    with pytest.raises(ConfigError, match="learns from single steps"):
        Dqn(DqnConfig(), network, ACTIONS).prepare(32, 32)


def test_continuous_actions_are_refused() -> None:
    with pytest.raises(ConfigError, match="Discrete"):
        Dqn.outputs({"": Leaf("float32", (2,), low=-1.0, high=1.0)}, DqnConfig())


def test_joint_actions_of_a_multi_discrete_space_are_learned() -> None:
    # Given 2 × 3 values, so that (1, 0) is joint action 3 and (0, 2) is 2
    space = {"": Leaf("uint8", (2,), n=3, nvec=(2, 3))}
    config = DqnConfig(learning_rate=0.01)
    network = build(STATES, space, Dqn.outputs(space, config), MlpConfig(hidden=()), 0)
    trained = Dqn(config, network, space)
    trained.prepare(1, 2)
    before = weights(trained)["q/kernel"]
    assert before.shape == (3, 6)
    # When they are trained on towards targets far above, in states 0 and 1
    trained.update(
        two_transitions(
            actions=np.array([[1, 0], [0, 2]], np.uint8),
            returns=np.array([50, 50], np.float32),
            discounts=np.array([0, 0], np.float32),
        ),
        0,
    )
    # Then their values and no others have moved
    step = weights(trained)["q/kernel"] - before
    expected = np.zeros((3, 6))
    expected[0, 3] = expected[1, 2] = 0.01
    np.testing.assert_allclose(step, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("config", "plan"),
    [
        (DqnConfig(), ReplayPlan(64, 1, 0.99, None)),
        (DoubleDqnConfig(reward_clip=1.0), ReplayPlan(64, 1, 0.99, None, reward_clip=1.0)),
        (RainbowLiteConfig(), ReplayPlan(64, 3, 0.99, Prioritisation(0.5, 0.4, 1.0, 20_000))),
        (ApexConfig(), ReplayPlan(512, 3, 0.99, Prioritisation(0.6, 0.4, 1.0, 0))),
        (OneStepQConfig(reward_scale=0.1), ReplayPlan(256, 1, 0.99, None, reward_scale=0.1)),
        (NStepQConfig(), ReplayPlan(256, 5, 0.99, None)),
    ],
)
def test_what_a_preset_asks_of_the_replay(config: DqnConfig, plan: ReplayPlan) -> None:
    assert perceptron(config).replay == plan


def test_players_explore_by_one_falling_epsilon_or_by_slot() -> None:
    assert perceptron().head_config == {
        "schedule": "annealed", "start": 1.0, "end": 0.04, "steps": 8_000,
    }  # fmt: skip
    assert perceptron(ApexConfig()).head_config == {
        "schedule": "by-slot", "base": 0.4, "power": 7.0,
    }  # fmt: skip
