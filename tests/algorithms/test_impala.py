from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from stream_batches import ACTIONS, OBSERVATIONS, Shared, assert_equal, differ, weights
from stream_batches import random_batch as played

from tinyqueue.algorithms import impala as impala_module
from tinyqueue.algorithms.base import LossNotFiniteError
from tinyqueue.algorithms.impala import A3cConfig, Impala, ImpalaConfig
from tinyqueue.algorithms.registry import ALGORITHMS
from tinyqueue.data.session import SessionBatch
from tinyqueue.data.spaces import Arrays, Leaf
from tinyqueue.models.layers import layer_name
from tinyqueue.models.mlp import MlpConfig, build
from tinyqueue.policy.heads import LOG_PROB

OUTPUTS = Impala.outputs(ACTIONS, ImpalaConfig())


def new_algorithm(config: ImpalaConfig | None, seed: int) -> Impala:
    model = build(OBSERVATIONS, ACTIONS, OUTPUTS, MlpConfig(hidden=(8,)), seed)
    return Impala(config or ImpalaConfig(), model, ACTIONS)


algorithm = Shared(new_algorithm)


@pytest.fixture(autouse=True)
def given_again() -> None:
    algorithm.test_begins()


@pytest.mark.parametrize("normalise", [True, False])
def test_what_stands_at_an_invalid_tick_changes_nothing(normalise: bool) -> None:
    config = ImpalaConfig(normalise_advantages=normalise)
    batch = played()
    # Given the same batch with other actions, rewards and probabilities at its invalid ticks
    other = replace(
        batch,
        actions={"": np.where(batch.valid, batch.actions[""], 2 - batch.actions[""]).astype("u1")},
        rewards=np.where(batch.valid, batch.rewards, 99).astype(np.float32),
        extras={LOG_PROB: np.where(batch.valid, batch.extras[LOG_PROB], -3).astype(np.float32)},
    )
    one, two = algorithm(config), algorithm(config)
    assert one.update([batch], 0) == two.update([other], 0)
    assert_equal(one.state(), two.state())


def test_what_stands_at_a_valid_tick_does() -> None:
    batch = played()
    other = replace(batch, rewards=batch.rewards + np.float32(batch.valid))
    one, two = algorithm(), algorithm()
    one.update([batch], 0)
    two.update([other], 0)
    assert differ(weights(one), weights(two))


def test_batches_side_by_side_are_one_wide_batch() -> None:
    wide = played(slots=8)
    halves = [
        replace(
            wide,
            observations={"": wide.observations[""][:, part]},
            actions={"": wide.actions[""][:, part]},
            rewards=wide.rewards[:, part],
            terminated=wide.terminated[:, part],
            truncated=wide.truncated[:, part],
            valid=wide.valid[:, part],
            extras={LOG_PROB: wide.extras[LOG_PROB][:, part]},
        )
        for part in (slice(0, 3), slice(3, 8))
    ]
    one, two = algorithm(), algorithm()
    assert one.update([wide], 0) == two.update(halves, 0)
    assert_equal(one.state(), two.state())


def test_the_sum_of_a_loss_is_its_mean_times_the_valid_ticks() -> None:
    mean = algorithm(ImpalaConfig(loss_reduction="mean")).update([played()], 0).metrics
    total = algorithm(ImpalaConfig(loss_reduction="sum")).update([played()], 0).metrics
    for name in ("loss", "policy_loss", "value_loss", "grad_norm"):
        assert total[name] == pytest.approx(18 * mean[name], rel=1e-4)
    assert total["entropy"] == pytest.approx(mean["entropy"])


def test_rewards_are_clipped_and_then_scaled() -> None:
    batch = played()
    by_hand = replace(batch, rewards=np.clip(batch.rewards, -0.5, 0.5) * np.float32(3))
    config = ImpalaConfig(reward_clip=0.5, reward_scale=3.0)
    one, two = algorithm(config), algorithm()
    one.update([batch], 0)
    two.update([by_hand], 0)
    assert_equal(weights(one), weights(two))


def test_a3c_does_not_look_at_the_behaviour_policy_and_impala_does() -> None:
    batch = played()
    other = replace(batch, extras={LOG_PROB: batch.extras[LOG_PROB] - np.float32(0.7)})

    def learned(config: ImpalaConfig, given: SessionBatch) -> Arrays:
        trained = algorithm(config)
        trained.update([given], 0)
        return weights(trained)

    assert_equal(learned(A3cConfig(), batch), learned(A3cConfig(), other))
    assert differ(learned(ImpalaConfig(), batch), learned(ImpalaConfig(), other))


def test_the_gradient_is_cut_to_its_norm() -> None:
    # RMSProp's step is nearly proportional to the gradient while its mean square is near 1.
    def step(max_grad_norm: float) -> tuple[float, float]:
        trained = algorithm(
            ImpalaConfig(optimiser="rmsprop", max_grad_norm=max_grad_norm, learning_rate=1.0)
        )
        before = weights(trained)
        norm = trained.update([played()], 0).metrics["grad_norm"]
        after = weights(trained)
        return norm, float(np.sqrt(sum(((after[n] - before[n]) ** 2).sum() for n in before)))

    norm, free = step(1e6)
    same_norm, cut = step(norm / 4)
    assert same_norm == norm
    assert cut == pytest.approx(free / 4, rel=0.02)


def test_the_learning_rate_follows_the_clock() -> None:
    config = ImpalaConfig(learning_rate=1.0, learning_rate_end=0.5, anneal_steps=100)
    trained = algorithm(config)
    rates = [
        trained.update([played()], steps).metrics["learning_rate"] for steps in (0, 50, 100, 900)
    ]
    assert rates == [1.0, 0.75, 0.5, 0.5]
    assert algorithm().update([played()], 10**9).metrics["learning_rate"] == 3e-4


def test_a_learning_rate_of_zero_moves_nothing() -> None:
    trained = algorithm(ImpalaConfig(learning_rate=0.0))
    before = weights(trained)
    trained.update([played()], 0)
    assert_equal(before, weights(trained))


@pytest.mark.parametrize("optimiser", ["adam", "rmsprop"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e38])
def test_an_update_that_is_not_finite_leaves_the_weights_alone(optimiser: Any, bad: float) -> None:
    trained = algorithm(ImpalaConfig(optimiser=optimiser))
    trained.update([played()], 0)
    before = weights(trained)
    batch = played(1)
    batch.observations[""][0, 0] = bad
    batch.rewards[0, 0] = bad
    with pytest.raises(LossNotFiniteError, match="was not applied"):
        trained.update([batch], 20)
    assert_equal(before, weights(trained))
    # And it can go on
    assert np.isfinite(trained.update([played(2)], 40).metrics["loss"])
    assert differ(before, weights(trained))


@pytest.mark.parametrize("optimiser", ["adam", "rmsprop"])
def test_a_restored_algorithm_goes_on_bit_for_bit(optimiser: Any) -> None:
    config = ImpalaConfig(optimiser=optimiser)
    one, two = algorithm(config), algorithm(config, seed=9)
    one.update([played(0)], 0)
    two.restore(one.state())
    assert one.update([played(1)], 20) == two.update([played(1)], 20)
    assert_equal(one.state(), two.state())


def test_the_state_is_a_copy() -> None:
    trained = algorithm()
    before = trained.state()
    kept = {name: a.copy() for name, a in before.items()}
    trained.update([played()], 0)
    assert_equal(before, kept)


@pytest.mark.parametrize("optimiser", ["adam", "rmsprop"])
def test_preparing_changes_nothing_but_the_time_of_the_first_update(
    optimiser: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given one that was prepared and one that was not
    config = ImpalaConfig(optimiser=optimiser)
    prepared, plain = new_algorithm(config, 0), algorithm(config)
    expected = plain.update([played()], 0)
    before = prepared.state()
    prepared.prepare(5, 4)
    assert_equal(before, prepared.state())
    # When its graph may not be built again, then it updates all the same, and equally
    monkeypatch.setattr(impala_module, "impala_loss", None)
    assert prepared.update([played()], 0) == expected
    assert_equal(prepared.state(), plain.state())


def test_a_dict_of_observations_is_fed_by_path() -> None:
    space = {"b": Leaf("float32", (2,)), "a/x": Leaf("uint8", (), n=3)}
    model = build(space, ACTIONS, OUTPUTS, MlpConfig(hidden=(8,)), 0)
    trained = Impala(ImpalaConfig(), model, ACTIONS)
    rng = np.random.default_rng(0)
    seen: Arrays = {
        "a/x": rng.integers(0, 3, (6, 4)).astype(np.uint8),
        "b": rng.normal(size=(6, 4, 2)).astype(np.float32),
    }
    update = trained.update([replace(played(), observations=seen)], 0)
    assert update.metrics["grad_norm"] > 0
    reordered = replace(played(), observations=dict(reversed(seen.items())))
    again = Impala(
        ImpalaConfig(), build(space, ACTIONS, OUTPUTS, MlpConfig(hidden=(8,)), 0), ACTIONS
    )
    assert again.update([reordered], 0) == update


ARM = {
    "grip": Leaf("uint8", (), n=2),
    "turn": Leaf("float32", (2,), low=-1.0, high=1.0),
    "fingers": Leaf("uint8", (3,), n=4, nvec=(2, 4, 3)),
    "lamps": Leaf("int8", (2, 2), n=2),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["impala", "ppo"])
@pytest.mark.parametrize("previous", [False, True])
def test_actions_of_any_space_are_learned_from(name: str, previous: bool) -> None:
    # Given actions of four kinds side by side, of a batch with invalid ticks
    kind = ALGORITHMS[name]
    config = kind.Config(learning_rate=0.01)
    outputs = kind.outputs(ARM, config)
    network = build(OBSERVATIONS, ARM, outputs, MlpConfig(hidden=(8,), previous=previous), 0)
    trained = kind(config, network, ARM)
    assert set(outputs) == {*trained.acting_outputs, "value"}
    rng = np.random.default_rng(0)
    actions = {
        path: rng.integers(0, 2, (5, 4, *leaf.shape)).astype(leaf.dtype)
        for path, leaf in ARM.items()
    }
    batch = replace(
        played(),
        actions=actions,
        # About what the new policy says: ratios far from 1 would teach ppo nothing
        extras={LOG_PROB: np.full((5, 4), -9, np.float32)},
        carry={
            "previous_reward": np.zeros(4, np.float32),
            **{f"previous_action/{p}": np.zeros((4, *x.shape), x.dtype) for p, x in ARM.items()},
        },
    )
    trained.prepare(5, 4)
    before = trained.state()
    # When it is trained on, then everything that the policy is made of has moved
    trained.update([batch, batch], 0)
    after = trained.state()
    for output in outputs:
        moved = [p for p in network.variables if p.startswith(f"{layer_name(output)}/")]
        assert moved
        for path in moved:
            assert (after[f"model/{path}"] != before[f"model/{path}"]).any(), path
    # … and other actions teach other things, of every kind, but at invalid ticks
    for path, taken in actions.items():
        valid = batch.valid.reshape(5, 4, *[1] * len(ARM[path].shape))
        assert not learned_equal(trained, before, batch, path, np.where(valid, 1 - taken, taken))
        assert learned_equal(trained, before, batch, path, np.where(valid, taken, 1 - taken))


def learned_equal(
    trained: Any, before: Arrays, batch: SessionBatch, path: str, actions: np.ndarray
) -> bool:
    """Whether an update is the same with these actions instead of the batch's own."""
    learned = []
    for given in (batch.actions, {**batch.actions, path: actions.astype(ARM[path].dtype)}):
        trained.restore(before)
        trained.update([replace(batch, actions=given)], 0)
        learned.append(weights(trained))
    return not differ(*learned)
