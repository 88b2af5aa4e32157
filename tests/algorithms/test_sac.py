"""SAC: updates by hand on linear networks, a restart, and a target that it learns to reach."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tinyqueue.algorithms.base import LossNotFiniteError
from tinyqueue.algorithms.sac import Sac, SacConfig
from tinyqueue.data.spaces import Arrays, Leaf, Space
from tinyqueue.errors import ConfigError
from tinyqueue.models.mlp import MlpConfig
from tinyqueue.models.registry import MODELS, build_network
from tinyqueue.policy.export import PolicyExport
from tinyqueue.policy.heads import evaluation_head
from tinyqueue.policy.runner import PolicyRunner
from tinyqueue.replay.samples import TransitionSample

ACTIONS = {"": Leaf("float32", (2,), low=-1.0, high=1.0)}
STATES = {"": Leaf("float32", (3,))}


def made(hidden: tuple[int, ...] = (), seed: int = 0, **config: Any) -> Sac:
    checked, layers = SacConfig(**config), MlpConfig(hidden=hidden, activation="relu")
    network = build_network(
        MODELS["mlp"],
        STATES,
        ACTIONS,
        Sac.outputs(ACTIONS, checked),
        layers,
        seed,
    )
    return Sac(checked, network, ACTIONS)


def sampled(rows: int = 4, seed: int = 0, **given: Any) -> TransitionSample:
    rng = np.random.default_rng(seed)
    sample = TransitionSample(
        rows=np.arange(rows),
        births=np.ones(rows, np.int64),
        observations={"": rng.normal(size=(rows, 3)).astype(np.float32)},
        actions=rng.uniform(-1, 1, (rows, 2)).astype(np.float32),
        returns=rng.normal(size=rows).astype(np.float32),
        discounts=np.where(np.arange(rows) % 2, 0.99, 0.0).astype(np.float32),
        next_observations={"": rng.normal(size=(rows, 3)).astype(np.float32)},
        weights=np.ones(rows, np.float32),
    )
    return replace(sample, **given)


def part(state: Arrays, prefix: str) -> Arrays:
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}


def test_where_an_episode_ended_q_learns_the_return_alone() -> None:
    trained = made()
    sample = sampled(discounts=np.zeros(4, np.float32))
    before = trained.state()
    seen = np.concatenate([sample.observations[""], sample.actions], axis=1)
    q = np.stack(
        [
            seen @ before[f"critic/{n}/q/kernel"][:, 0] + before[f"critic/{n}/q/bias"][0]
            for n in range(2)
        ]
    )

    metrics = trained.update(sample, 0).metrics

    errors = sample.returns - q
    assert metrics["loss"] == pytest.approx(0.5 * (errors**2).sum(axis=0).mean(), rel=1e-5)
    assert metrics["q_mean"] == pytest.approx(q.mean(), rel=1e-4)
    assert metrics["target_mean"] == pytest.approx(sample.returns.mean(), rel=1e-5)
    assert metrics["td_error_mean"] == pytest.approx(np.abs(errors).mean(), rel=1e-5)


def test_the_value_of_the_next_state_is_the_smaller_q_and_the_entropy() -> None:
    # Given a policy without spread, at tanh 0.3 and tanh -0.2, and Q networks of constants
    trained = made(temperature=0.5, learning_rate=0.0)
    state = trained.state()
    for name in state:
        if name.startswith(("model/", "critic/", "target/")):
            state[name] = np.zeros_like(state[name])
    std = 1e-3
    state["model/mean/bias"] = np.array([0.3, -0.2], np.float32)
    state["model/log_std/bias"] = np.full(2, math.log(std), np.float32)
    state["target/0/q/bias"] = np.array([7.0], np.float32)
    state["target/1/q/bias"] = np.array([5.0], np.float32)
    trained.restore(state)
    sample = sampled(64, discounts=np.full(64, 0.9, np.float32), returns=np.ones(64, np.float32))

    metrics = trained.update(sample, 0).metrics

    # Entropy of a narrow Gaussian, plus the log of the tanh's slope where it is
    slopes = sum(math.log(1 - math.tanh(u) ** 2) for u in (0.3, -0.2))
    entropy = 2 * (math.log(std) + 0.5 * math.log(2 * math.pi * math.e)) + slopes
    assert metrics["target_mean"] == pytest.approx(1 + 0.9 * (5.0 + 0.5 * entropy), abs=0.2)
    assert metrics["entropy"] == pytest.approx(entropy, abs=0.3)
    assert metrics["temperature"] == pytest.approx(0.5)


@pytest.mark.parametrize(("wanted", "grows"), [(50.0, True), (-50.0, False)])
def test_the_temperature_moves_towards_the_wanted_entropy(wanted: float, grows: bool) -> None:
    trained = made(target_entropy=wanted, learning_rate=0.01)
    trained.update(sampled(), 0)
    after = trained.update(sampled(), 0).metrics["temperature"]
    assert after == pytest.approx(math.exp(0.01 if grows else -0.01), rel=1e-3)


def test_targets_follow_by_their_share() -> None:
    trained = made(tau=0.25, learning_rate=0.1)
    before = trained.state()
    trained.update(sampled(), 0)
    after = trained.state()
    for n in range(2):
        old, new = part(before, f"target/{n}/"), part(after, f"target/{n}/")
        online = part(after, f"critic/{n}/")
        for path, value in new.items():
            np.testing.assert_allclose(value, old[path] + 0.25 * (online[path] - old[path]), 1e-5)


def test_the_two_q_networks_begin_apart() -> None:
    state = made(hidden=(8,)).state()
    one, other = part(state, "critic/0/"), part(state, "critic/1/")
    assert one.keys() == other.keys()
    assert any((one[path] != other[path]).any() for path in one)
    for n in range(2):
        for path, value in part(state, f"critic/{n}/").items():
            np.testing.assert_array_equal(state[f"target/{n}/{path}"], value)


def test_it_continues_from_its_state_bit_for_bit() -> None:
    # With the run's seed, and other initial weights
    one, other = made(hidden=(8,)), made(hidden=(8,), seed=5)
    other._network.seed = one._network.seed
    one.update(sampled(), 0)
    other.restore(one.state())
    for trained in (one, other):
        trained.update(sampled(seed=1), 0)
    ours, theirs = one.state(), other.state()
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        np.testing.assert_array_equal(theirs[name], value, err_msg=name)


def test_preparing_changes_nothing() -> None:
    trained = made(hidden=(8,), batch_size=4)
    before = trained.state()
    trained.prepare(1, 1)
    for name, value in trained.state().items():
        np.testing.assert_array_equal(before[name], value, err_msg=name)


@pytest.fixture(scope="module")
def with_hidden() -> Sac:
    """One with a hidden layer, whose graph is built once."""
    return made(hidden=(8,))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("returns", np.nan),
        *((f, v) for f in ("returns", "observations", "next_observations") for v in (np.inf, 3e38)),
    ],
)
def test_numbers_that_are_not_finite_move_no_weight(
    with_hidden: Sac, field: str, value: float
) -> None:
    trained = with_hidden
    sample = sampled()
    array = getattr(sample, field)
    (array[""] if isinstance(array, dict) else array)[:] = value
    trained.update(sampled(), 0)
    before = trained.state()

    with pytest.raises(LossNotFiniteError):
        trained.update(sample, 0)

    assert not trained.is_sound(sample, 0)
    assert trained.is_sound(sampled(), 0)
    for path, was in before.items():
        np.testing.assert_array_equal(trained.state()[path], was, err_msg=path)
    trained.update(sampled(), 0)


@pytest.mark.parametrize(
    "space",
    [
        {"": Leaf("uint8", (), n=2)},
        {"": Leaf("float32", (2,))},
        {"a": ACTIONS[""], "b": ACTIONS[""]},
    ],
)
def test_spaces_other_than_one_bounded_box_are_refused(space: Space) -> None:
    with pytest.raises(ConfigError, match="Box"):
        Sac.outputs(space, SacConfig())


@pytest.mark.slow
def test_it_learns_to_reach_what_it_sees() -> None:
    """One step per episode: the reward is 1 less the distance to two of the numbers seen."""
    trained = made(hidden=(32, 32), learning_rate=3e-3, batch_size=128)
    rng = np.random.default_rng(0)
    seen = rng.uniform(-0.8, 0.8, (4_000, 3)).astype(np.float32)
    actions = rng.uniform(-1, 1, (4_000, 2)).astype(np.float32)
    returns = 1.0 - np.abs(actions - seen[:, :2]).sum(axis=1)
    for update in range(400):
        rows = rng.integers(4_000, size=128)
        sample = TransitionSample(
            rows, rows, {"": seen[rows]}, actions[rows], returns[rows].astype(np.float32),
            np.zeros(128, np.float32), {"": seen[rows]}, np.ones(128, np.float32),
        )  # fmt: skip
        trained.update(sample, update)

    export = PolicyExport(trained._network, trained.acting_outputs)
    runner = PolicyRunner(export.graph, export.arrays(), 0)
    head = evaluation_head("squashed", ACTIONS)
    fresh = rng.uniform(-0.8, 0.8, (200, 3)).astype(np.float32)
    outputs, _ = runner.run({"": fresh}, {})
    head.begin(1, 200, rng, 0)
    acted = head.act(0, outputs)[""]
    assert np.abs(acted - fresh[:, :2]).mean() < 0.1


def test_runs_of_different_seeds_draw_different_actions() -> None:
    observations = {path: np.zeros((4, *leaf.shape), np.float32) for path, leaf in STATES.items()}
    drawn = []
    for seed in (0, 0, 1):
        sac = made(seed=seed)
        for variable in sac._network.variables.values():
            variable.assign(np.zeros(variable.shape, np.float32))
        drawn.append(np.asarray(sac._drawn(observations, np.int32(7), 0)[0]))

    assert np.array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])
