from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tinyqueue.algorithms import r2d2 as r2d2_module
from tinyqueue.algorithms.r2d2 import R2d2, R2d2Config
from tinyqueue.data.spaces import Arrays, Leaf
from tinyqueue.models.mlp import MlpConfig, build
from tinyqueue.models.network import Network
from tinyqueue.replay.plan import Prioritisation, ReplayPlan
from tinyqueue.replay.samples import SequenceSample

ACTIONS = {"": Leaf("uint8", (), n=2)}
STATES = {"": Leaf("uint8", (), n=3)}
TABLE = np.array([[1, 2], [3, 5], [0, -1]], np.float32)


def network_of(config: R2d2Config, model: MlpConfig, seed: int = 0) -> Network:
    return build(STATES, ACTIONS, R2d2.outputs(ACTIONS, config), model, seed)


def table(config: R2d2Config) -> R2d2:
    """Feed-forward; online and target network are TABLE."""
    trained = R2d2(config, network_of(config, MlpConfig(hidden=())), ACTIONS)
    state = trained.state()
    state["model/q/kernel"] = state["target/q/kernel"] = TABLE
    trained.restore(state)
    return trained


def recurrent(config: R2d2Config, core: Any = "lstm", seed: int = 0) -> R2d2:
    model = MlpConfig(hidden=(8,), core=core, core_units=4, previous=True)
    return R2d2(config, network_of(config, model, seed), ACTIONS)


def played(config: R2d2Config, slots: int = 3, core: str = "lstm", seed: int = 0) -> SequenceSample:
    """Random sequences that begin in the middle of an episode and do not end."""
    rng = np.random.default_rng(seed)
    length = config.burn_in + config.unroll
    ticks, rows = (length, slots), (length + 1, slots)
    parts = {"lstm": ("hidden", "cell"), "gru": ("hidden",), "none": ()}[core]
    return SequenceSample(
        rows=np.arange(slots),
        births=np.arange(slots),
        observations={"": rng.integers(0, 3, rows).astype(np.uint8)},
        actions=rng.integers(0, 2, ticks).astype(np.uint8),
        rewards=rng.normal(size=ticks).astype(np.float32),
        terminated=np.zeros(ticks, bool),
        mask=np.ones(ticks, bool),
        starts=np.zeros(rows, bool),
        previous_actions=rng.integers(0, 2, rows).astype(np.uint8),
        previous_rewards=rng.normal(size=rows).astype(np.float32),
        state={path: rng.normal(size=(slots, 4)).astype(np.float32) for path in parts},
        weights=np.ones(slots, np.float32),
    )


def changed(array: np.ndarray, where: Any, to: Any) -> np.ndarray:
    result = array.copy()
    result[where] = to
    return result


def weights(trained: R2d2) -> Arrays:
    return {name: a for name, a in trained.state().items() if name.startswith("model/")}


def assert_equal(one: Arrays, other: Arrays) -> None:
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], name)


Learnt = Callable[[SequenceSample], Arrays]
SHORT = R2d2Config(burn_in=2, unroll=4, n_step=2, learning_rate=0.01)


@pytest.fixture(scope="module")
def learnt() -> Learnt:
    """The weights after one update of a network that is new each time; built only once."""
    trained = recurrent(SHORT)
    new = trained.state()

    def after_update(sample: SequenceSample) -> Arrays:
        trained.restore(new)
        trained.update(sample, 0)
        return weights(trained)

    return after_update


@pytest.mark.parametrize("rescaled", [False, True])
def test_targets_and_priorities_by_hand(rescaled: bool) -> None:
    config = R2d2Config(burn_in=1, unroll=2, n_step=2, gamma=0.5, rescaled=rescaled, dueling=False)
    sample = replace(
        played(config, slots=1, core="none"),
        observations={"": np.array([[2], [0], [1], [0]], np.uint8)},
        actions=np.array([[1], [0], [1]], np.uint8),
        rewards=np.array([[7], [1], [4]], np.float32),
        weights=np.array([0.5], np.float32),
    )
    update = table(config).update(sample, 0)

    def h(x: float) -> float:
        return float(np.sqrt(x + 1) - 1 + 1e-3 * x) if rescaled else x

    # Q(1, ·) = 2 bootstraps; h⁻¹(2) = 7.9523 from 2 = √(x + 1) − 1 + x/1000
    bootstrap = 7.952349 if rescaled else 2.0
    targets = [h(1 + 4 / 2 + bootstrap / 4), h(4 + bootstrap / 2)]
    errors = [targets[0] - 1, targets[1] - 5]
    sizes = np.abs(errors)
    assert update.metrics["target_mean"] == pytest.approx(np.mean(targets), rel=1e-5)
    assert update.metrics["q_mean"] == pytest.approx(3.0)
    assert update.metrics["td_error_mean"] == pytest.approx(sizes.mean(), rel=1e-5)
    assert update.metrics["loss"] == pytest.approx(0.5 * np.square(errors).mean() / 2, rel=1e-5)
    assert update.priorities is not None
    expected = 0.9 * sizes.max() + 0.1 * sizes.mean()
    assert update.priorities.tolist() == pytest.approx([expected], rel=1e-5)


def test_what_stands_behind_the_episodes_end_changes_nothing(learnt: Learnt) -> None:
    # Given an episode that is truncated at tick 3 of the first slot: row 4 is its final one
    sample = played(SHORT)
    masked = (slice(4, None), 0)
    sample = replace(sample, mask=changed(sample.mask, masked, False))
    other = replace(
        sample,
        observations={"": changed(sample.observations[""], (slice(5, None), 0), 2)},
        actions=changed(sample.actions, masked, 1),
        rewards=changed(sample.rewards, masked, 50),
        terminated=changed(sample.terminated, masked, True),
    )
    assert_equal(learnt(sample), learnt(other))
    # And the final observation counts
    final = (4, 0)
    seen = sample.observations[""]
    other = replace(sample, observations={"": changed(seen, final, (seen[final] + 1) % 3)})
    with pytest.raises(AssertionError):
        assert_equal(learnt(sample), learnt(other))


def test_what_stands_before_an_episodes_first_tick_changes_nothing(learnt: Learnt) -> None:
    # Given a first slot that is padded in front
    sample = played(SHORT)
    padding = (slice(2), 0)
    sample = replace(
        sample,
        mask=changed(sample.mask, padding, False),
        starts=changed(sample.starts, (2, 0), True),
    )
    other = replace(
        sample,
        observations={"": changed(sample.observations[""], padding, 1)},
        actions=changed(sample.actions, padding, 1),
        rewards=changed(sample.rewards, padding, 50),
        previous_actions=changed(sample.previous_actions, padding, 1),
        previous_rewards=changed(sample.previous_rewards, padding, 9),
        state={path: changed(x, 0, 0.7) for path, x in sample.state.items()},
    )
    assert_equal(learnt(sample), learnt(other))


def test_the_burn_in_gives_a_state_and_nothing_else() -> None:
    # Given the state that the burn-in leads to, in online and target network alike
    sample = played(SHORT)
    config = replace(SHORT, optimiser="rmsprop", epsilon=1.0)
    warmed, given = recurrent(config), recurrent(replace(config, burn_in=0))
    _, state = recurrent(config)._network.unroll(
        {"": sample.observations[""][:2]},
        sample.state,
        sample.starts[:2],
        {"": sample.previous_actions[:2]},
        sample.previous_rewards[:2],
    )
    cut = replace(
        sample,
        observations={"": sample.observations[""][2:]},
        actions=sample.actions[2:],
        rewards=sample.rewards[2:],
        terminated=sample.terminated[2:],
        mask=sample.mask[2:],
        starts=sample.starts[2:],
        previous_actions=sample.previous_actions[2:],
        previous_rewards=sample.previous_rewards[2:],
        state={path: np.asarray(x) for path, x in state.items()},
    )
    # Then an update is the same: no gradient flows into the burn-in, whose rewards do not count
    first, second = warmed.update(sample, 0), given.update(cut, 0)
    assert first.metrics == pytest.approx(second.metrics, rel=1e-5)
    for name, values in weights(warmed).items():
        np.testing.assert_allclose(values, weights(given)[name], atol=1e-6)


@pytest.mark.parametrize("core", ["lstm", "gru", "none"])
def test_only_a_memory_learns_what_was_seen_before(core: Any) -> None:
    # Given a cue of 0 or 1 in row 0, then blanks; action 1 at tick 2 is worth ±1 by the cue
    config = R2d2Config(
        burn_in=0, unroll=3, n_step=1, gamma=0.0, rescaled=False, learning_rate=0.02
    )
    model = MlpConfig(hidden=(8,), core=core, core_units=8)
    network = network_of(config, model)
    trained = R2d2(config, network, ACTIONS)
    rng = np.random.default_rng(0)
    for _ in range(80):
        trained.update(cued(rng.integers(0, 2, 32), rng.integers(0, 2, (3, 32)), network), 0)
    # Then Q of that action at tick 2 follows the cue only in a network with a core
    sample = cued(np.array([0, 1]), np.zeros((3, 2), int), network)
    outputs, _ = network.unroll(sample.observations, sample.state, sample.starts)
    q = outputs["q"].numpy()[2, :, 1]
    if core == "none":
        assert q[0] == q[1]
    else:
        assert q.tolist() == pytest.approx([-1, 1], abs=0.2)


def cued(cues: np.ndarray, actions: np.ndarray, network: Network) -> SequenceSample:
    slots = len(cues)
    sample = played(R2d2Config(burn_in=0, unroll=3), slots, core="none")
    observations = np.full((4, slots), 2, np.uint8)
    observations[0] = cues
    rewards = np.zeros((3, slots), np.float32)
    rewards[2] = (2 * cues - 1) * (actions[2] == 1)
    return replace(
        sample,
        observations={"": observations},
        actions=actions.astype(np.uint8),
        rewards=rewards,
        terminated=changed(sample.terminated, 2, True),
        starts=changed(sample.starts, 0, True),
        state={p: np.zeros((slots, *shape), np.float32) for p, shape in network.state.items()},
    )


def test_a_restored_algorithm_goes_on_bit_for_bit() -> None:
    config = replace(SHORT, target_every_updates=2)
    one, two = recurrent(config), recurrent(config, seed=9)
    one.update(played(config), 0)
    two.restore(one.state())
    assert one.update(played(config), 20).metrics == two.update(played(config), 20).metrics
    assert_equal(one.state(), two.state())


@pytest.mark.slow
@pytest.mark.parametrize("core", ["gru", "none"])
def test_preparing_changes_nothing_but_the_time_of_the_first_update(
    core: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(SHORT, batch_size=3)
    prepared, plain = recurrent(config, core), recurrent(config, core)
    sample = played(config, core=core)
    expected = plain.update(sample, 0)
    before = prepared.state()
    prepared.prepare(32, 32)
    assert_equal(before, prepared.state())
    # When its graph may not be built again, then it updates all the same, and equally
    monkeypatch.setattr(r2d2_module, "sequence_targets", None)
    assert prepared.update(sample, 0).metrics == expected.metrics


def test_what_it_asks_of_the_replay() -> None:
    assert recurrent(R2d2Config()).replay == ReplayPlan(
        batch_size=64,
        n_step=5,
        gamma=0.997,
        prioritisation=Prioritisation(0.9, 0.6, 1.0, 0),
        burn_in=8,
        unroll=32,
        max_priority_weight=0.9,
        rescaled=True,
    )


def test_drawn_all_alike_there_are_no_priorities_to_write_back() -> None:
    config = replace(SHORT, prioritised=False, dueling=False)
    assert table(config).update(played(config, core="none"), 0).priorities is None
