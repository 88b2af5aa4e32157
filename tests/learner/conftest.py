"""The parts around an updater: an algorithm that only counts, and a view that remembers."""

from __future__ import annotations

import hashlib
from itertools import count
from types import SimpleNamespace

import numpy as np
import pytest
from ingested import consumer as consumer
from ingested import delivered as delivered
from ingested import evaluated as evaluated
from ingested import experience as experience
from ingested import failed as failed
from ingested import heard as heard
from ingested import ingest as ingest
from ingested import lease as lease
from ingested import ledger as ledger
from ingested import said as said
from pole import ACTIONS, OBSERVATIONS, RUN, SLOTS, TICKS
from pole import contract as contract
from pole import make_batch as make_batch
from pole import make_experiment_of as make_experiment_of

from tinyqueue.algorithms.base import Update
from tinyqueue.data.spaces import space_to_json
from tinyqueue.experiment.environment import EnvironmentConfig
from tinyqueue.experiment.play_spec import PlaySpec
from tinyqueue.learner.updater import Clock, Updater

GRAPH = b"an acting graph"


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
        arrays=lambda version: {"w": np.full(2, algorithm.updates, np.float32)},
    )


@pytest.fixture
def published():
    """The weight versions that the updater of ``make_updater`` has published."""
    return []


@pytest.fixture
def make_updater(make_experiment_of, algorithm, export, spec, published):
    numbers = count()

    def make(**sections):
        return Updater(
            make_experiment_of(**sections),
            algorithm,
            export,
            spec,
            clock=Clock(),
            epoch=3,
            next_version=lambda: next(numbers),
            publish=published.append,
        )

    return make


@pytest.fixture
def view():
    return RememberingView()
