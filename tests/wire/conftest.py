"""Session batches to encode, break and check."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinyqueue.data.episodes import Episodes
from tinyqueue.data.session import Header, SessionBatch
from tinyqueue.data.spaces import Leaf
from tinyqueue.wire.contract import Contract, Extra

RUN = "0123456789abcdef0123456789abcdef"


def _header(**changes: Any) -> Header:
    values: dict[str, Any] = {
        "experiment": "cartpole-impala",
        "run": RUN,
        "stage": "f" * 32,
        "n": 7,
        "user": "rack-3",
        "player": "node-a:4711:celery@node-a",
        "policy_version": 55,
        "spec_version": 2**47 + 1,
        "task": "6f1f3a5e-6a0c-4bb5-8d2e-0d3f9c0f2d11",
        "seed": 12,
        "play_s": 0.25,
    }
    return Header(**(values | changes))


def _ends(rng: np.random.Generator, ticks: int, slots: int) -> tuple[Any, Any]:
    """Ended and valid ticks as next-step autoreset makes them."""
    ended, valid = np.zeros((ticks, slots), bool), np.ones((ticks, slots), bool)
    for tick in range(ticks):
        if tick:
            valid[tick] = ~ended[tick - 1]
        ended[tick] = (rng.random(slots) < 0.1) & valid[tick]
    return ended, valid


def _batch(ticks: int = 8, slots: int = 4, seed: int = 1, **header: Any) -> SessionBatch:
    rng = np.random.default_rng(seed)
    ended, valid = _ends(rng, ticks, slots)
    truncated = ended & (rng.random((ticks, slots)) < 0.3)
    at, by = np.nonzero(ended)
    count = len(at)
    return SessionBatch(
        header=_header(**header),
        observations={"": rng.normal(size=(ticks + 1, slots, 4)).astype(np.float32)},
        actions={"": rng.integers(0, 2, (ticks, slots)).astype(np.uint8)},
        rewards=rng.normal(size=(ticks, slots)).astype(np.float32),
        terminated=ended & ~truncated,
        truncated=truncated,
        valid=valid,
        extras={"behaviour_log_prob": -rng.random((ticks, slots)).astype(np.float32)},
        carry={
            "episode_steps": rng.integers(0, 9, slots).astype(np.int32),
            "previous_action": rng.integers(0, 2, slots).astype(np.uint8),
            "previous_reward": rng.normal(size=slots).astype(np.float32),
        },
        episodes=Episodes.of(by, np.ones(count), at + 1, np.full(count, 0.5)),
    )


@pytest.fixture(scope="session")
def make_batch() -> Callable[..., SessionBatch]:
    """``make_batch(ticks, slots, seed, **header)``: a batch that ``make_contract`` accepts."""
    return _batch


@pytest.fixture(scope="session")
def make_contract() -> Callable[..., Contract]:
    """``make_contract(ticks, slots, **changes)``: what a CartPole learner asks for."""

    def make(ticks: int = 8, slots: int = 4, **changes: Any) -> Contract:
        values: dict[str, Any] = {
            "experiment": "cartpole-impala",
            "run": RUN,
            "observations": {"": Leaf("float32", (4,), low=-1.0, high=1.0)},
            "actions": {"": Leaf("uint8", (), 2)},
            "ticks": ticks,
            "slots": slots,
            "extras": {"behaviour_log_prob": Extra("float32", kind="log-probability")},
            "max_abs_reward": 100.0,
        }
        return Contract(**(values | changes))

    return make
