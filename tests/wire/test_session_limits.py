"""Given a contract: its honest batches fit, and nothing much larger is ever inflated."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import lz4.frame
import numpy as np
import pytest
import zstandard

from tinyqueue.data.episodes import Episodes
from tinyqueue.data.session import SessionBatch
from tinyqueue.data.spaces import Leaf
from tinyqueue.errors import MessageError
from tinyqueue.wire.compression import CODECS
from tinyqueue.wire.contract import Contract, Extra
from tinyqueue.wire.session_limits import session_limits
from tinyqueue.wire.sessions import decode_session, encode_session

MIB = 2**20
SHAPES = [(1, 1), (8, 4), (64, 1), (3, 128)]
CHANGES: list[dict[str, Any]] = [
    {},
    {"observations": {"": Leaf("uint8", (84, 84))}, "stack": 4},
    {"observations": {f"leaf/{n}": Leaf("float32", (3,)) for n in range(80)}},
    {"state": {"h": Leaf("float32", (256,)), "c": Leaf("float32", (256,))}, "needs_carry": True},
    {"extras": {"mask": Extra("bool", (18,), rows="ticks+1"), "value": Extra("float32")}},
    {"actions": {"": Leaf("float32", (17,))}},
    {"info": 32},
]


def fullest(contract: Contract, batch: SessionBatch) -> SessionBatch:
    """Noise in every array that the contract allows, an episode per slot and tick."""
    rng = np.random.default_rng(1)

    def noise(dtype: str, *shape: int) -> Any:
        count = int(np.prod(shape)) * np.dtype(dtype).itemsize
        raw = np.frombuffer(rng.bytes(count), np.uint8)
        return (raw > 127).reshape(shape) if dtype == "bool" else raw.view(dtype).reshape(shape)

    t, b = contract.ticks, contract.slots
    carry = {"episode_steps": noise("int32", b), "previous_reward": noise("float32", b)}
    for path, leaf in contract.actions.items():
        carry[f"previous_action{path and '/'}{path}"] = noise(leaf.dtype, b, *leaf.shape)
    for path, leaf in contract.state.items():
        carry[f"state/{path}"] = noise(leaf.dtype, b, *leaf.shape)
    if contract.stack > 1:
        for path, leaf in contract.observations.items():
            shape = (b, contract.stack - 1, *leaf.shape)
            carry[f"frames{path and '/'}{path}"] = noise(leaf.dtype, *shape)
    ones = np.ones(t * b)
    return replace(
        batch,
        header=replace(
            batch.header,
            epsilons=tuple(np.linspace(0, 1, b)),
            ended_tasks=tuple(f"{n:036}" for n in range(1024)),
        ),
        observations={
            path: noise(leaf.dtype, t + 1, b, *leaf.shape)
            for path, leaf in contract.observations.items()
        },
        actions={
            path: noise(leaf.dtype, t, b, *leaf.shape) for path, leaf in contract.actions.items()
        },
        extras={
            name: noise(extra.dtype, t + (extra.rows != "ticks"), b, *extra.shape)
            for name, extra in contract.extras.items()
        },
        rewards=noise("float32", t, b),
        terminated=noise("bool", t, b),
        truncated=noise("bool", t, b),
        valid=noise("bool", t, b),
        carry=carry,
        episodes=_episodes(contract, ones),
    )


def _episodes(contract: Contract, ones: np.ndarray) -> Episodes:
    """One per slot and tick."""
    episodes = Episodes.of(ones * 0, ones, ones, ones)
    if not contract.info:
        return episodes
    numbers = np.random.default_rng(2).random((len(ones), contract.info)).astype(np.float32)
    return replace(episodes, info_last=numbers, info_mean=numbers)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("changes", CHANGES, ids=lambda changes: "-".join(changes) or "plain")
def test_the_fullest_honest_batch_fits_and_the_bound_is_near_it(
    make_batch: Callable[..., SessionBatch],
    make_contract: Callable[..., Contract],
    shape: tuple[int, int],
    changes: dict[str, Any],
) -> None:
    contract = make_contract(*shape, **changes)
    limits = session_limits(contract)
    batch = fullest(contract, make_batch(*shape))

    for codec in CODECS:
        message = encode_session(batch, codec)
        decode_session(message.body, message.headers, limits)
    raw = int(message.headers["raw_bytes"])
    assert raw <= limits.raw_bytes <= raw + limits.head_bytes + 4096


@pytest.mark.parametrize("codec", ["lz4", "zstd"])
@pytest.mark.parametrize("mib", [1, 64, 1024])
def test_a_small_message_that_declares_more_than_its_contract_is_refused_unopened(
    make_contract: Callable[..., Contract], codec: str, mib: int
) -> None:
    limits = session_limits(make_contract(8, 4))
    raw = bytes(min(mib, 64) * MIB)
    body = zstandard.compress(raw) if codec == "zstd" else lz4.frame.compress(raw)
    headers = {"schema": 1, "raw_bytes": mib * MIB, "codec": codec}
    del raw

    tracemalloc.start()
    try:
        with pytest.raises(MessageError, match="too-large"):
            decode_session(body, headers, limits)
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()
