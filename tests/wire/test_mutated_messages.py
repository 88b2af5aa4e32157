"""Given messages that were damaged or forged on their way. Nothing but MessageError may come."""

from __future__ import annotations

import gc
import struct
import tracemalloc
from collections import Counter
from collections.abc import Callable
from typing import Any

import msgpack
import numpy as np
import pytest

from tinyqueue.data.session import SessionBatch
from tinyqueue.errors import MessageError
from tinyqueue.wire.arrays import unpack
from tinyqueue.wire.compression import CODECS, compress, decompress
from tinyqueue.wire.contract import Contract
from tinyqueue.wire.limits import REASONS, Limits
from tinyqueue.wire.sessions import Encoded, decode_session, encode_session

LIMITS = Limits(body_bytes=64 * 1024, raw_bytes=256 * 1024, head_bytes=2048)
MESSAGES = 20_000
MEASURED = 4_000
"""The first of them, while memory is traced: that takes most of the time."""
ODD: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2**31, 2**63 - 1, 2**63, -(2**63), 2**64 - 1, 0.0, 1.5,
    float("nan"), float("inf"), "", "x", "x" * 300, "\x00", "\ud7ff", "lz4", "zstd", "none",
    [], [0], [[]], [1, 2, 3], {}, {"": {}}, [2**32, 2**32], [0, 0], [-1], "a" * 40, 64 * 1024,
)  # fmt: skip
ODD_HEADERS = (*ODD, b"\xff\xfe", "\ud800", object())

Random = np.random.Generator
Mutation = Callable[[Random, Encoded], Encoded]


def _flip_bits(random: Random, message: Encoded) -> Encoded:
    body = bytearray(message.body)
    for place in random.integers(0, len(body), random.integers(1, 9)):
        body[place] ^= 1 << random.integers(8)
    return Encoded(bytes(body), message.headers)


def _flip_early_bits(random: Random, message: Encoded) -> Encoded:
    """In the part that says what the rest is."""
    body = bytearray(message.body)
    for place in random.integers(0, min(len(body), 700), random.integers(1, 4)):
        body[place] ^= 1 << random.integers(8)
    return Encoded(bytes(body), message.headers)


def _truncate(random: Random, message: Encoded) -> Encoded:
    return Encoded(message.body[: random.integers(len(message.body))], message.headers)


def _insert(random: Random, message: Encoded) -> Encoded:
    place = random.integers(len(message.body) + 1)
    noise = random.bytes(int(random.integers(1, 40)))
    return Encoded(message.body[:place] + noise + message.body[place:], message.headers)


def _move(random: Random, message: Encoded) -> Encoded:
    start, place = random.integers(len(message.body), size=2)
    chunk = message.body[start : start + random.integers(1, 200)]
    body = message.body[:place] + chunk + message.body[place + len(chunk) :]
    return Encoded(body, message.headers)


def _lie_in_headers(random: Random, message: Encoded) -> Encoded:
    headers: dict[str, Any] = dict(message.headers)
    name = str(random.choice(list(headers)))
    if random.random() < 0.2:
        del headers[name]
    else:
        headers[name] = ODD_HEADERS[random.integers(len(ODD_HEADERS))]
    return Encoded(message.body, headers)


def _lie_in_head(random: Random, message: Encoded) -> Encoded:
    """Another value somewhere in the msgpack part, packed as an honest sender would."""
    codec, size = str(message.headers["codec"]), int(message.headers["raw_bytes"])
    raw = bytes(decompress(codec, memoryview(message.body), size))
    (length,) = struct.unpack_from(">I", raw, 1)
    head = _replaced(random, msgpack.unpackb(raw[5 : 5 + length]))
    packed = msgpack.packb(head)
    padding = b"\xc0" * ((length - len(packed)) % 8)
    rest = raw[5 + length :].lstrip(b"\xc0") if random.random() < 0.5 else raw[5 + length :]
    return _repacked(message, b"\xc6" + struct.pack(">I", len(packed)) + packed + padding + rest)


def _replaced(random: Random, value: Any) -> Any:
    if isinstance(value, dict) and value and random.random() < 0.9:
        key = list(value)[random.integers(len(value))]
        return value | {key: _replaced(random, value[key])}
    if isinstance(value, list) and value and random.random() < 0.9:
        place = int(random.integers(len(value)))
        return [*value[:place], _replaced(random, value[place]), *value[place + 1 :]]
    return ODD[random.integers(len(ODD))]


def _flip_inside(random: Random, message: Encoded) -> Encoded:
    """Damage before compression: the codec's own checks see nothing."""
    codec, size = str(message.headers["codec"]), int(message.headers["raw_bytes"])
    raw = bytes(decompress(codec, memoryview(message.body), size))
    flipped = _flip_early_bits if random.random() < 0.5 else _flip_bits
    return _repacked(message, flipped(random, Encoded(raw, {})).body)


def _repacked(message: Encoded, raw: bytes) -> Encoded:
    codec = str(message.headers["codec"])
    return Encoded(compress(codec, raw), message.headers | {"raw_bytes": len(raw)})


MUTATIONS: tuple[Mutation, ...] = (
    _flip_bits, _flip_early_bits, _truncate, _insert, _move, _lie_in_headers, _lie_in_head,
    _flip_inside,
)  # fmt: skip


def _outcome(message: Encoded, contract: Contract) -> str:
    """The reason of the refusal, or ``accepted``; anything else that is raised is a failure."""
    try:
        contract.check(decode_session(message.body, message.headers, LIMITS))
    except MessageError as error:
        str(error).encode()  # it goes into a log
        return error.reason
    return "accepted"


def _measured(message: Encoded, contract: Contract) -> tuple[str, int]:
    """The outcome, and by how many bytes memory rose meanwhile if it is traced."""
    if not tracemalloc.is_tracing():
        return _outcome(message, contract), 0
    before = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    return _outcome(message, contract), tracemalloc.get_traced_memory()[1] - before


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_twenty_thousand_damaged_messages_do_no_harm(
    make_batch: Callable[..., SessionBatch], make_contract: Callable[..., Contract]
) -> None:
    batch = make_batch(8, 4, dropped=(), ended_tasks=("a", "b"), epsilons=(0.1, 0.2, 0.3, 0.4))
    messages = [encode_session(batch, codec) for codec in CODECS]
    contract = make_contract(8, 4)
    random = np.random.default_rng(20_000)
    outcomes: Counter[str] = Counter()
    most = 0

    gc.collect()
    tracemalloc.start()
    try:
        for number in range(MESSAGES):
            mutate = MUTATIONS[number % len(MUTATIONS)]
            message = mutate(random, messages[random.integers(len(messages))])
            if number == MEASURED:
                tracemalloc.stop()
            outcome, peak = _measured(message, contract)
            if peak > LIMITS.raw_bytes:
                # Other threads are measured too, but not each time.
                peak = min(peak, *(_measured(message, contract)[1] for _ in range(3)))
            outcomes[outcome] += 1
            most = max(most, peak)
    finally:
        tracemalloc.stop()

    assert most <= 2 * LIMITS.raw_bytes
    assert sum(outcomes.values()) == MESSAGES
    assert set(outcomes) <= {*REASONS, "accepted"}
    # The damage reached every layer, and much of it was a flipped bit of a number.
    assert {
        "malformed", "compression", "header", "schema", "too-large", "missing", "unknown",
        "dtype", "shape", "range", "autoreset", "not-finite", "reward", "probability",
    } <= set(outcomes)  # fmt: skip
    assert 500 < outcomes["accepted"] < MESSAGES / 3


def test_the_undamaged_messages_are_accepted(
    make_batch: Callable[..., SessionBatch], make_contract: Callable[..., Contract]
) -> None:
    for codec in CODECS:
        message = encode_session(make_batch(8, 4), codec)
        assert _outcome(message, make_contract(8, 4)) == "accepted"


@pytest.mark.parametrize("size", [0, 1, 5, 37, 4096])
def test_noise_is_refused(make_contract: Callable[..., Contract], size: int) -> None:
    random = np.random.default_rng(size)

    for _ in range(200):
        noise = random.bytes(size)
        with pytest.raises(MessageError) as refused:
            unpack(noise, LIMITS)
        assert refused.value.reason in ("malformed", "too-large")
