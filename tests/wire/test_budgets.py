"""Given a batch of 32 ticks of 64 CartPole slots, 60 kB, on a busy machine.

Measured on one core of a 2-core EPYC: encode 20 µs, decode 52 µs, check 30 µs, weights 24 and
31 µs. The bounds are several times that: they catch a copy or a loop too many, not a slow day.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest

from tinyqueue.data.session import SessionBatch
from tinyqueue.wire.contract import Contract
from tinyqueue.wire.sessions import decode_session, encode_session
from tinyqueue.wire.weights import WeightVersion, decode_weights, encode_weights

pytestmark = pytest.mark.timing


def _fastest_us(call: Callable[[], object]) -> float:
    best_s = float("inf")
    for _ in range(30):
        start_s = time.perf_counter()
        for _ in range(10):
            call()
        best_s = min(best_s, (time.perf_counter() - start_s) / 10)
    return best_s * 1e6


def test_a_session_batch_costs_microseconds(
    make_batch: Callable[..., SessionBatch], make_contract: Callable[..., Contract]
) -> None:
    batch, contract = make_batch(32, 64), make_contract(32, 64)
    encoded = encode_session(batch)
    contract.check(decode_session(encoded.body, encoded.headers))

    assert _fastest_us(lambda: encode_session(batch)) < 120
    assert _fastest_us(lambda: decode_session(encoded.body, encoded.headers)) < 240
    assert _fastest_us(lambda: contract.check(batch)) < 200


def test_the_weights_of_a_small_network_cost_microseconds() -> None:
    shapes = [(4, 64), (64,), (64, 64), (64,), (64, 2), (2,)]
    arrays = {str(n): np.zeros(shape, np.float32) for n, shape in enumerate(shapes)}
    weights = WeightVersion(1, 1, "run", 0, 0, "0" * 64, arrays)
    body = encode_weights(weights)
    assert 18_000 < len(body) < 20_000

    assert _fastest_us(lambda: encode_weights(weights)) < 180
    assert _fastest_us(lambda: decode_weights(body)) < 180
