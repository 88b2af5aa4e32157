"""The parts around a trainer: batches, an algorithm that only counts, and a view that remembers."""

from __future__ import annotations

import hashlib
from itertools import count
from types import SimpleNamespace

import numpy as np
import pytest

from tinyqueue.algorithms.base import Update
from tinyqueue.catalogue import make_experiment
from tinyqueue.data.episodes import Episodes
from tinyqueue.data.session import Header, SessionBatch
from tinyqueue.data.spaces import Leaf, space_to_json
from tinyqueue.experiment.environment import EnvironmentConfig
from tinyqueue.experiment.play_spec import PlaySpec
from tinyqueue.learner.trainer import Trainer
from tinyqueue.wire.contract import Contract, Extra

OBSERVATIONS = {"": Leaf("float32", (4,))}
ACTIONS = {"": Leaf("uint8", (), 2)}
GRAPH = b"an acting graph"
RUN = "c" * 32
STAGE = "a" * 32
TICKS, SLOTS = 4, 2


class CountingAlgorithm:
    """Its only weight is the number of updates; remembers what it was given."""

    head, head_config, acting_outputs = "categorical", {}, ("logits",)
    replay = None

    def __init__(self) -> None:
        self.updates = np.zeros((), np.int64)
        self.given: list[tuple[list[str], int]] = []
        self.prepared: list[tuple[int, int]] = []

    def update(self, batches, env_steps):
        self.given.append(([batch.header.batch_id for batch in batches], env_steps))
        self.updates += 1
        return Update({"loss": 0.5})

    def prepare(self, ticks, slots):
        self.prepared.append((ticks, slots))

    def state(self):
        return {"updates": self.updates}

    def restore(self, state):
        self.updates = state["updates"].copy()


class RememberingView:
    """What a person would have seen."""

    def __init__(self) -> None:
        self.header = None
        self.messages: list[str] = []
        self.snapshots: list[object] = []
        self.is_due = True

    def start(self, header):
        self.header = header

    def update(self, snapshot):
        self.snapshots.append(snapshot)

    def message(self, text):
        self.messages.append(text)

    def stop(self):
        pass


def _batch(n=0, *, version=0, stage=STAGE, returns=(), **header):
    """A batch that the contract takes; ``returns`` end in it, tick by tick, in slot 0."""
    values = {
        "experiment": "pole",
        "run": RUN,
        "stage": stage,
        "n": n,
        "user": "rack",
        "player": "host:1",
        "policy_version": version,
        "spec_version": 1,
    }
    shape = (TICKS, SLOTS)
    terminated, valid = np.zeros(shape, bool), np.ones(shape, bool)
    for i in range(len(returns)):
        terminated[2 * i, 0], valid[2 * i + 1, 0] = True, False
    e = len(returns)
    return SessionBatch(
        header=Header(**(values | header)),
        observations={"": np.zeros((TICKS + 1, SLOTS, 4), np.float32)},
        actions={"": np.zeros(shape, np.uint8)},
        rewards=np.ones(shape, np.float32),
        terminated=terminated,
        truncated=np.zeros(shape, bool),
        valid=valid,
        extras={"behaviour_log_prob": np.full(shape, -0.7, np.float32)},
        episodes=Episodes.of(np.zeros(e), returns, np.ones(e), np.zeros(e)),
    )


@pytest.fixture
def make_batch():
    return _batch


@pytest.fixture
def contract():
    return Contract(
        experiment="pole",
        run=RUN,
        observations=OBSERVATIONS,
        actions=ACTIONS,
        ticks=TICKS,
        slots=SLOTS,
        extras={"behaviour_log_prob": Extra("float32", kind="log-probability")},
        max_abs_reward=10.0,
    )


@pytest.fixture
def make_experiment_of():
    """Sections over an experiment named pole that plays CartPole-v1."""

    def make(**sections):
        document = {"name": "pole", "environment": {"id": "CartPole-v1"}, **sections}
        return make_experiment(document)

    return make


@pytest.fixture
def spec():
    return PlaySpec(
        experiment="pole",
        run=RUN,
        environment=EnvironmentConfig(id="CartPole-v1"),
        observation_space=space_to_json(OBSERVATIONS),
        action_space=space_to_json(ACTIONS),
        head="categorical",
        ticks=TICKS,
        slots=SLOTS,
        graph_sha256=hashlib.sha256(GRAPH).hexdigest(),
    )


@pytest.fixture
def algorithm():
    return CountingAlgorithm()


@pytest.fixture
def export(algorithm, spec):
    return SimpleNamespace(
        graph=GRAPH,
        sha256=spec.graph_sha256,
        arrays=lambda: {"w": np.full(2, algorithm.updates, np.float32)},
    )


@pytest.fixture
def published():
    """The weight versions that the trainer of ``make_trainer`` has published."""
    return []


@pytest.fixture
def make_trainer(make_experiment_of, algorithm, export, spec, published):
    numbers = count()

    def make(**sections):
        return Trainer(
            make_experiment_of(**sections),
            algorithm,
            export,
            spec,
            epoch=3,
            next_version=lambda: next(numbers),
            publish=published.append,
        )

    return make


@pytest.fixture
def view():
    return RememberingView()
