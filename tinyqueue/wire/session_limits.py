"""What a session batch of one run may cost: what an honest one needs, and little more."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from tinyqueue.wire.contract import Contract
from tinyqueue.wire.limits import SESSION_LIMITS, Limits

_FRAMING = 16
"""Bytes around an array: its padding and its header take at most 12."""
_EPISODE = 16
"""Bytes of an episode that ended: four columns of 4."""
_SPARE_ARRAYS = 16
"""So that a few unknown arrays are refused by their names, which tells more."""


def session_limits(contract: Contract) -> Limits:
    """The limits for the session batches of a contract.

    A message that declares more is refused before anything is inflated or allocated.
    """
    arrays = list(_array_bytes(contract))
    raw = sum(arrays) + _FRAMING * len(arrays) + SESSION_LIMITS.head_bytes
    return Limits(
        # Noise grows a little when it is compressed.
        body_bytes=min(SESSION_LIMITS.body_bytes, raw + raw // 64 + 1024),
        raw_bytes=min(SESSION_LIMITS.raw_bytes, raw),
        head_bytes=SESSION_LIMITS.head_bytes,
        items=SESSION_LIMITS.items,
        arrays=len(arrays) + _SPARE_ARRAYS,
        drops=SESSION_LIMITS.drops,
    )


def _array_bytes(contract: Contract) -> Iterator[int]:
    """Bytes of every array that a batch may hold."""
    ticks, slots = contract.ticks, contract.slots
    rows, more = ticks * slots, (ticks + 1) * slots
    for leaf in contract.observations.values():
        yield more * _bytes(leaf.dtype, leaf.shape)
    for leaf in contract.actions.values():
        yield rows * _bytes(leaf.dtype, leaf.shape)
    for extra in contract.extras.values():
        yield (rows if extra.rows == "ticks" else more) * _bytes(extra.dtype, extra.shape)
    # Rewards, terminated, truncated, valid.
    yield from (4 * rows, rows, rows, rows)
    yield from [rows * _EPISODE // 4] * 4
    # Numbers of info, last and mean, of an episode per step.
    yield from [4 * rows * contract.info] * 2
    # Exploration rates, and what is carried: steps, reward, actions, state and frames.
    yield from (8 * slots, 4 * slots, 4 * slots)
    for leaf in (*contract.actions.values(), *contract.state.values()):
        yield slots * _bytes(leaf.dtype, leaf.shape)
    for leaf in contract.observations.values():
        yield slots * (contract.stack - 1) * _bytes(leaf.dtype, leaf.shape)


def _bytes(dtype: str, shape: tuple[int, ...]) -> int:
    return np.dtype(dtype).itemsize * math.prod(shape)
