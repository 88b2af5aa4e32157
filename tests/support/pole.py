"""An experiment named pole: what its contract, its session batches and its sections are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from tinyqueue.catalogue import make_experiment
from tinyqueue.data.episodes import Episodes
from tinyqueue.data.session import Header, SessionBatch
from tinyqueue.data.spaces import Leaf
from tinyqueue.experiment.experiment import Experiment
from tinyqueue.wire.contract import Contract, Extra

OBSERVATIONS = {"": Leaf("float32", (4,))}
ACTIONS = {"": Leaf("uint8", (), 2)}
RUN = "c" * 32
STAGE = "a" * 32
TICKS, SLOTS = 4, 2


def _batch(
    n: int = 0,
    *,
    version: int = 0,
    stage: str = STAGE,
    returns: Sequence[float] = (),
    **header: Any,
) -> SessionBatch:
    """A batch that the contract takes; ``returns`` end in it, tick by tick, in slot 0."""
    values: dict[str, Any] = {
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
def make_batch() -> Callable[..., SessionBatch]:
    return _batch


@pytest.fixture
def contract() -> Contract:
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
def make_experiment_of() -> Callable[..., Experiment]:
    """Sections over an experiment named pole that plays CartPole-v1."""

    def make(**sections: Any) -> Experiment:
        document: dict[str, Any] = {
            "name": "pole",
            "environment": {"id": "CartPole-v1"},
            **sections,
        }
        return make_experiment(document)

    return make
