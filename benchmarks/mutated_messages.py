"""Valid messages of every kind that a learner receives, and what damages them."""

from __future__ import annotations

from collections.abc import Callable
from struct import pack
from typing import Any

import amqp
import msgpack
import numpy as np

from tinyqueue.data.episodes import Episodes
from tinyqueue.data.session import Header, SessionBatch
from tinyqueue.data.spaces import Leaf
from tinyqueue.wire.compression import CODECS, compress, decompress
from tinyqueue.wire.contract import Contract, Extra
from tinyqueue.wire.evaluation_signs import SIGN_TYPE, EvaluationSign, encode_sign
from tinyqueue.wire.evaluations import EVALUATION_TYPE, EvaluationResult, encode_evaluation
from tinyqueue.wire.failures import FAILURE_TYPE, TaskFailure, encode_failure
from tinyqueue.wire.sessions import SESSION_TYPE, encode_session

EXPERIMENT, RUN, STAGE, LOGIN = "pole", "c" * 32, "a" * 32, "ann"
TICKS, SLOTS = 8, 4
ODD: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2**31, 2**63 - 1, 2**63, -(2**63), 2**64 - 1, 0.0, 1.5,
    float("nan"), float("inf"), "", "x", "x" * 300, "\x00", "\x1b]0;pwned\x07", "\u202e", "lz4",
    "zstd", "none", [], [0], [[]], [1, 2, 3], {}, {"": {}}, [2**32, 2**32], [0, 0], [-1], "a" * 40,
    64 * 1024, 64 * 2**20, STAGE, RUN, f"{STAGE}:1", SESSION_TYPE, EVALUATION_TYPE,
    "punycode", "latin-1", "utf-16",
)  # fmt: skip
ODD_NAMES: tuple[Any, ...] = (b"\xff", "x", "schema", "x-death", "compression", "\u202e", "k" * 255)

Random = np.random.Generator
Message = tuple[bytes, dict[Any, Any], dict[str, Any]]
"""Body, headers and properties."""


def contract() -> Contract:
    """What the learner asks for."""
    return Contract(
        experiment=EXPERIMENT,
        run=RUN,
        observations={"": Leaf("float32", (4,))},
        actions={"": Leaf("uint8", (), 2)},
        ticks=TICKS,
        slots=SLOTS,
        extras={"behaviour_log_prob": Extra("float32", kind="log-probability")},
        max_abs_reward=100.0,
        clips=True,
    )


class Corpus:
    """Valid messages of every kind, and what damages them.

    Args:
        seed: Of every draw.
    """

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self._n = 0
        self._sessions = [encode_session(self._session(), codec) for codec in CODECS]
        self._others = [
            (encode_evaluation(_evaluation()), EVALUATION_TYPE),
            (encode_sign(EvaluationSign("r" * 32, EXPERIMENT, RUN, "host:1")), SIGN_TYPE),
            (encode_failure(_failure()), FAILURE_TYPE),
        ]
        self._damages: tuple[Callable[[Message], Message], ...] = (
            self._flip, self._flip_early, self._truncate, self._insert, self._move,
            self._lie_in_headers, self._lie_in_properties, self._lie_inside, self._flip_inside,
        )  # fmt: skip

    def message(self) -> Message:
        """The next message, damaged once or twice; one in sixteen is not."""
        found = self._valid()
        if self._random.random() < 1 / 16:
            return found
        for _ in range(int(self._random.integers(1, 3))):
            found = self._damages[self._random.integers(len(self._damages))](found)
        return found

    def frame(self, message: Message) -> bytes:
        """The content header of a message, as AMQP has it; damaged itself, one time in four."""
        body = message[0]
        raw = bytearray(as_amqp(message)._serialize_properties())
        if self._random.random() < 1 / 4:
            for place in self._random.integers(0, len(raw), self._random.integers(1, 5)):
                raw[place] ^= 1 << int(self._random.integers(8))
        return pack(">HHQ", 60, 0, len(body)) + bytes(raw)

    def session(self) -> Message:
        """A valid session."""
        codec = CODECS[self._random.integers(len(CODECS))]
        batch = self._session()
        encoded = encode_session(batch, codec)
        name = batch.header.batch_id
        said = {"content_type": SESSION_TYPE, "message_id": name, "correlation_id": "t"}
        return encoded.body, dict(encoded.headers), {**said, "user_id": LOGIN}

    def _valid(self) -> Message:
        kind = int(self._random.integers(5))
        if kind < 2:
            return self.session()
        body, content_type = self._others[kind - 2]
        name = bytes(self._random.bytes(16)).hex()
        return body, {}, {"content_type": content_type, "message_id": name, "user_id": LOGIN}

    def _session(self) -> SessionBatch:
        header = Header(EXPERIMENT, RUN, STAGE, self._n, LOGIN, "host:1", 3, 1, task="t")
        self._n += 1
        return SessionBatch(header=header, **_ARRAYS)

    def _flip(self, message: Message, among: int = 2**31) -> Message:
        body = bytearray(message[0])
        if body:
            most = min(len(body), among)
            for place in self._random.integers(0, most, self._random.integers(1, 9)):
                body[place] ^= 1 << int(self._random.integers(8))
        return bytes(body), *message[1:]

    def _flip_early(self, message: Message) -> Message:
        return self._flip(message, 700)

    def _truncate(self, message: Message) -> Message:
        return message[0][: self._random.integers(len(message[0]) + 1)], *message[1:]

    def _insert(self, message: Message) -> Message:
        place = int(self._random.integers(len(message[0]) + 1))
        noise = self._random.bytes(int(self._random.integers(1, 40)))
        return message[0][:place] + noise + message[0][place:], *message[1:]

    def _move(self, message: Message) -> Message:
        body = message[0]
        start, place = self._random.integers(len(body) + 1, size=2)
        chunk = body[start : start + self._random.integers(1, 200)]
        return body[:place] + chunk + body[place + len(chunk) :], *message[1:]

    def _lie_in_headers(self, message: Message) -> Message:
        return message[0], self._lied(message[1], ODD_NAMES), message[2]

    def _lie_in_properties(self, message: Message) -> Message:
        names = ("expiration", "reply_to", "content_encoding")
        return message[0], message[1], self._lied(message[2], names)

    def _lied(self, values: dict[Any, Any], others: tuple[Any, ...]) -> dict[Any, Any]:
        names = (*values, *others)
        name = names[self._random.integers(len(names))]
        if self._random.random() < 0.2:
            return {key: value for key, value in values.items() if key != name}
        return {**values, name: ODD[self._random.integers(len(ODD))]}

    def _lie_inside(self, message: Message) -> Message:
        """Another value somewhere in the msgpack part, packed as an honest sender would."""
        raw = _opened(message)
        if len(raw) < 6 or len(raw) < 5 + (length := int.from_bytes(raw[1:5], "big")):
            return message
        try:
            head = self._replaced(msgpack.unpackb(raw[5 : 5 + length]))
            packed = msgpack.packb(head)
        except Exception:
            return message
        padding = b"\xc0" * ((length - len(packed)) % 8)
        rest = padding + raw[5 + length :]
        return _closed(message, b"\xc6" + pack(">I", len(packed)) + packed + rest)

    def _replaced(self, value: Any) -> Any:
        if isinstance(value, dict) and value and self._random.random() < 0.9:
            key = list(value)[self._random.integers(len(value))]
            return value | {key: self._replaced(value[key])}
        if isinstance(value, list) and value and self._random.random() < 0.9:
            place = int(self._random.integers(len(value)))
            return [*value[:place], self._replaced(value[place]), *value[place + 1 :]]
        return ODD[self._random.integers(len(ODD))]

    def _flip_inside(self, message: Message) -> Message:
        """Damage before compression: the codec's own checks see nothing."""
        return _closed(message, self._flip_early((_opened(message), {}, {}))[0])


def as_amqp(message: Message) -> Any:
    """The message as py-amqp sends it; without its properties if no client could send them."""
    body, headers, properties = message
    made: Any = amqp.Message(body, application_headers=headers, **properties)
    try:
        made._serialize_properties()
    except Exception:
        return amqp.Message(body, content_type=SESSION_TYPE)
    return made


def _opened(message: Message) -> bytes:
    headers = message[1]
    try:
        codec, size = headers["codec"], headers["raw_bytes"]
        return bytes(decompress(codec, memoryview(message[0]), min(size, 2**20)))
    except Exception:
        return message[0]


def _closed(message: Message, raw: bytes) -> Message:
    headers = message[1]
    codec = headers.get("codec")
    if codec not in CODECS:
        return raw, headers, message[2]
    return compress(codec, raw), {**headers, "raw_bytes": len(raw)}, message[2]


def _arrays() -> dict[str, Any]:
    random = np.random.default_rng(1)
    shape = (TICKS, SLOTS)
    ended, valid = np.zeros(shape, bool), np.ones(shape, bool)
    ended[3, 1], valid[4, 1] = True, False
    return {
        "observations": {"": random.normal(size=(TICKS + 1, SLOTS, 4)).astype(np.float32)},
        "actions": {"": random.integers(0, 2, shape).astype(np.uint8)},
        "rewards": random.normal(size=shape).astype(np.float32),
        "terminated": ended,
        "truncated": np.zeros(shape, bool),
        "valid": valid,
        "extras": {"behaviour_log_prob": -random.random(shape).astype(np.float32)},
        "episodes": Episodes.of(np.ones(1), np.ones(1), np.ones(1), np.ones(1)),
    }


_ARRAYS = _arrays()


def _evaluation() -> EvaluationResult:
    returns, lengths = np.full(20, 9.5, np.float32), np.full(20, 10, np.int32)
    return EvaluationResult("r" * 32, EXPERIMENT, RUN, 3, returns, lengths, 1.5, "host:1")


def _failure() -> TaskFailure:
    text = "the environment raised KeyError"
    return TaskFailure("t", EXPERIMENT, RUN, "KeyError", text, "host:1", LOGIN)
