"""Every algorithm and every value a player can send: a bad update changes nothing."""

from __future__ import annotations

import math
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from stream_batches import assert_equal, differ, network_of, played

from tinyqueue.algorithms.base import Algorithm, LossNotFiniteError
from tinyqueue.algorithms.dqn import ApexConfig, Dqn
from tinyqueue.algorithms.impala import A3c, A3cConfig, Impala, ImpalaConfig
from tinyqueue.algorithms.ppo import Ppo, PpoConfig
from tinyqueue.algorithms.r2d2 import R2d2, R2d2Config
from tinyqueue.data.session import SessionBatch
from tinyqueue.data.spaces import Array, Arrays, Leaf
from tinyqueue.models.mlp import MlpConfig, build
from tinyqueue.replay.samples import SequenceSample, TransitionSample

ROWS = 4
SPACE = {"": Leaf("float32", (3,))}
ACTIONS = {"": Leaf("uint8", (), n=2)}
VALUES = {
    "3e38": 3e38,
    "1e30": 1e30,
    "-3e38": -3e38,
    "denormal": 1e-42,
    "nan": math.nan,
    "negative nan": float(np.array([0xFFC00001], np.uint32).view(np.float32)[0]),
    "inf": math.inf,
    "-inf": -math.inf,
}
STREAM: dict[str, tuple[Any, Any]] = {
    "impala": (Impala, ImpalaConfig()),
    "a3c": (A3c, A3cConfig(optimiser="rmsprop")),
    "ppo": (Ppo, PpoConfig(minibatches=2, epochs=2)),
}
STREAM_FIELDS = ("observation", "last observation", "reward", "log-prob", "carry", "reward before")
REPLAY_FIELDS = ("observation", "reward", "carry", "reward before")


def spoiled(array: Array, value: float, rng: np.random.Generator) -> None:
    """Puts the value at a random position."""
    array[tuple(int(rng.integers(size)) for size in array.shape)] = value


@pytest.fixture(scope="module", params=STREAM)
def trained(request: pytest.FixtureRequest) -> tuple[Algorithm[Any, Any], list[SessionBatch]]:
    """An algorithm after a good update, with a memory and relu, and two good batches."""
    made, config = STREAM[request.param]
    network = network_of(
        MlpConfig(hidden=(8,), activation="relu", core="lstm", core_units=8, previous=True)
    )
    batches = played(network, 2)
    algorithm = made(config, network, ACTIONS)
    algorithm.update(batches, 0)
    return algorithm, batches


def one_bad(
    batches: list[SessionBatch], field: str, value: float, rng: np.random.Generator
) -> list[SessionBatch]:
    bad = deepcopy(batches[1])
    groups: dict[str, Callable[[], Array]] = {
        "observation": lambda: bad.observations[""][:-1],
        "last observation": lambda: bad.observations[""][-1:],
        "reward": lambda: bad.rewards,
        "log-prob": lambda: bad.extras["behaviour_log_prob"],
        "carry": lambda: next(v for name, v in bad.carry.items() if name.startswith("state/")),
        "reward before": lambda: bad.carry["previous_reward"],
    }
    spoiled(groups[field](), value, rng)
    return [batches[0], bad]


@pytest.mark.parametrize("field", STREAM_FIELDS)
@pytest.mark.parametrize("value", VALUES)
def test_a_value_in_a_batch_costs_at_most_its_update(
    trained: tuple[Algorithm[Any, Any], list[SessionBatch]], field: str, value: str
) -> None:
    algorithm, good = trained
    for seed in range(2):
        given = one_bad(good, field, VALUES[value], np.random.default_rng(seed))
        before = algorithm.state()

        is_sound = algorithm.is_sound(given, 20)
        assert_equal(before, algorithm.state())
        try:
            algorithm.update(given, 20)
        except LossNotFiniteError:
            assert not is_sound
            assert_equal(before, algorithm.state())
        else:
            assert is_sound

        assert algorithm.is_sound(good, 40)
        assert all(np.isfinite(array).all() for array in algorithm.state().values())
        before = algorithm.state()
        algorithm.update(good, 40)
        assert differ(before, algorithm.state())


def transitions(rng: np.random.Generator) -> TransitionSample:
    def floats(*shape: int) -> Array:
        return rng.normal(size=shape).astype(np.float32)

    return TransitionSample(
        rows=np.arange(ROWS),
        births=np.ones(ROWS, np.int64),
        observations={"": floats(ROWS, 3)},
        actions=rng.integers(0, 2, ROWS).astype(np.uint8),
        returns=floats(ROWS),
        discounts=np.full(ROWS, 0.9, np.float32),
        next_observations={"": floats(ROWS, 3)},
        weights=np.ones(ROWS, np.float32),
    )


def sequences(rng: np.random.Generator, ticks: int, state: Any) -> SequenceSample:
    def floats(*shape: int) -> Array:
        return rng.normal(size=shape).astype(np.float32)

    more = (ticks + 1, ROWS)
    return SequenceSample(
        rows=np.arange(ROWS),
        births=np.ones(ROWS, np.int64),
        observations={"": floats(*more, 3)},
        actions=rng.integers(0, 2, (ticks, ROWS)).astype(np.uint8),
        rewards=floats(ticks, ROWS),
        terminated=np.zeros((ticks, ROWS), bool),
        mask=np.ones((ticks, ROWS), bool),
        starts=np.zeros(more, bool),
        previous_actions=rng.integers(0, 2, more).astype(np.uint8),
        previous_rewards=floats(*more),
        state={path: floats(ROWS, *shape) for path, shape in state.items()},
        weights=np.ones(ROWS, np.float32),
    )


def sampled(name: str) -> tuple[Algorithm[Any, Any], Any]:
    rng = np.random.default_rng(0)
    if name == "apex":
        config = ApexConfig(batch_size=ROWS, optimiser="centred-rmsprop")
        model = MlpConfig(hidden=(8,), activation="relu")
        network = build(SPACE, ACTIONS, Dqn.outputs(ACTIONS, config), model, 0)
        return Dqn(config, network, ACTIONS), transitions(rng)
    recurrent = R2d2Config(batch_size=ROWS, burn_in=2, unroll=4, n_step=2)
    model = MlpConfig(hidden=(8,), activation="relu", core="lstm", core_units=8, previous=True)
    network = build(SPACE, ACTIONS, R2d2.outputs(ACTIONS, recurrent), model, 0)
    return R2d2(recurrent, network, ACTIONS), sequences(rng, 6, network.state)


@pytest.fixture(scope="module", params=["apex", "r2d2"])
def learned(request: pytest.FixtureRequest) -> tuple[Algorithm[Any, Any], Any]:
    algorithm, sample = sampled(request.param)
    algorithm.update(sample, 0)
    return algorithm, sample


def bad_sample(sample: Any, field: str, value: float, rng: np.random.Generator) -> Any | None:
    """A sample with the value in one of its arrays; None where it has no such array."""
    is_sequence = isinstance(sample, SequenceSample)
    names = {
        "observation": "observations" if rng.random() < 0.5 or is_sequence else "next_observations",
        "reward": "rewards" if is_sequence else "returns",
        "carry": "state",
        "reward before": "previous_rewards",
    }
    name = names[field]
    if not hasattr(sample, name):
        return None
    found: Array | Arrays = deepcopy(getattr(sample, name))
    spoiled(next(iter(found.values())) if isinstance(found, dict) else found, value, rng)
    return replace(sample, **{name: found})


@pytest.mark.parametrize("field", REPLAY_FIELDS)
@pytest.mark.parametrize("value", VALUES)
def test_a_value_in_a_sample_costs_at_most_its_update(
    learned: tuple[Algorithm[Any, Any], Any], field: str, value: str
) -> None:
    algorithm, good = learned
    for seed in range(3):
        given = bad_sample(good, field, VALUES[value], np.random.default_rng(seed))
        if given is None:
            return
        before = algorithm.state()

        is_sound = algorithm.is_sound(given, 20)
        assert_equal(before, algorithm.state())
        try:
            algorithm.update(given, 20)
        except LossNotFiniteError:
            assert not is_sound
            assert_equal(before, algorithm.state())
        else:
            assert is_sound

        assert all(np.isfinite(array).all() for array in algorithm.state().values())
        before = algorithm.state()
        priorities = algorithm.update(good, 40).priorities
        assert priorities is not None
        assert np.isfinite(priorities).all()
        assert differ(before, algorithm.state())
