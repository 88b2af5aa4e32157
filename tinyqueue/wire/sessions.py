"""Session batches as message bodies and headers.

The message headers repeat what a learner must know before it unpacks a body; a body that
contradicts them is refused. With compression, observations travel slot-major: consecutive
frames of one game are then neighbours, which is what makes them small.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyqueue.data.episodes import Episodes
from tinyqueue.data.identity import EXPERIMENT_PATTERN
from tinyqueue.data.session import SCHEMA, Drop, Header, SessionBatch
from tinyqueue.data.spaces import Array, Arrays
from tinyqueue.errors import ConfigError, MessageError
from tinyqueue.wire.arrays import pack, unpack
from tinyqueue.wire.compression import compress, decompress
from tinyqueue.wire.fields import Fields, is_short_text
from tinyqueue.wire.limits import SESSION_LIMITS, Limits

SESSION_TYPE = "application/x-tinyqueue-session"
"""Content type of a session message."""

_MOST_ENDED_TASKS = 1024
_STAGE = re.compile("[0-9a-f]{32}")
_REASON = re.compile("[a-z][a-z -]{0,31}")
_REPEATED = ("experiment", "run", "policy_version", "spec_version", "player")
_PLAIN = ("rewards", "terminated", "truncated", "valid")
_EPISODES = {"slots": "int32", "returns": "float32", "lengths": "int32", "seconds": "float32"}


@dataclass(frozen=True)
class Encoded:
    """A message: its body, and the headers that its decoder needs beside it."""

    body: bytes
    headers: dict[str, str | int]


def encode_session(batch: SessionBatch, codec: str = "none") -> Encoded:
    """One session batch as a message of type :data:`SESSION_TYPE`.

    Only the newest 1,024 ended tasks and 65,536 drops are told; older ones have expired at
    the learner, or stay counted as missing.

    Raises:
        ConfigError: The batch is larger than a learner takes.
        ValueError: An array is empty or of a dtype that cannot travel, or the codec is unknown.
    """
    slot_major = codec != "none"
    values = {"header": _header_values(batch.header), "slot_major": slot_major}
    raw = pack(values, _flat(batch, slot_major))
    body = compress(codec, raw)
    if len(body) > SESSION_LIMITS.body_bytes or len(raw) > SESSION_LIMITS.raw_bytes:
        raise ConfigError(
            f"a session batch of {batch.ticks} ticks of {batch.slots} slots has {len(body)} bytes "
            f"({len(raw)} before {codec} compression); a learner takes {SESSION_LIMITS.body_bytes} "
            f"({SESSION_LIMITS.raw_bytes}). Lower session.ticks or session.slots."
        )
    header = batch.header
    return Encoded(
        body,
        {
            "schema": SCHEMA,
            "experiment": header.experiment,
            "run": header.run,
            "policy_version": header.policy_version,
            "spec_version": header.spec_version,
            "player": header.player,
            "ticks": batch.ticks,
            "slots": batch.slots,
            "env_steps": batch.env_steps,
            "codec": codec,
            "raw_bytes": len(raw),
        },
    )


def decode_session(
    body: bytes | memoryview, headers: Mapping[str, Any], limits: Limits = SESSION_LIMITS
) -> SessionBatch:
    """The session batch; its arrays are read-only. Hold it against a Contract before using it.

    Raises:
        MessageError: And nothing else, whatever the bytes and headers are.
    """
    view = memoryview(body)
    outer = Fields(headers, "header")
    schema = outer.integer("schema")
    if schema != SCHEMA:
        raise MessageError("schema", f"written by schema {schema}; this learner takes {SCHEMA}")
    raw_bytes = outer.integer("raw_bytes")
    if len(view) > limits.body_bytes or raw_bytes > limits.raw_bytes:
        raise MessageError(
            "too-large",
            f"{len(view)} bytes that unpack to {raw_bytes}; allowed are {limits.body_bytes} "
            f"and {limits.raw_bytes}. Use fewer slots or ticks per session batch.",
        )
    values, arrays = unpack(decompress(outer.text("codec"), view, raw_bytes), limits)
    fields = Fields(values)
    header = _header(fields, arrays.pop("epsilons", None), limits)
    batch = _batch(header, arrays, fields.flag("slot_major"))
    _agree(batch, headers)
    return batch


def _header_values(header: Header) -> dict[str, Any]:
    return {
        "experiment": header.experiment,
        "run": header.run,
        "stage": header.stage,
        "n": header.n,
        "user": header.user,
        "player": header.player,
        "policy_version": header.policy_version,
        "spec_version": header.spec_version,
        "task": header.task,
        "ended_tasks": header.ended_tasks[-_MOST_ENDED_TASKS:],
        "seed": header.seed,
        "play_s": float(header.play_s),
        "dropped": _ranges(header.dropped[-SESSION_LIMITS.drops :]),
    }


def _ranges(dropped: tuple[Drop, ...]) -> list[tuple[str, int, int]]:
    """Drops as (reason, first n, how many): a player cut off for a day gives up thousands."""
    ranges: list[tuple[str, int, int]] = []
    for drop in dropped:
        if ranges:
            reason, first, count = ranges[-1]
            if reason == drop.reason and drop.n == first + count:
                ranges[-1] = (reason, first, count + 1)
                continue
        ranges.append((drop.reason, drop.n, 1))
    return ranges


def _flat(batch: SessionBatch, slot_major: bool) -> Arrays:
    flat: Arrays = {}
    for path, array in batch.observations.items():
        flat[f"observations/{path}"] = array.swapaxes(0, 1) if slot_major else array
    for group in ("actions", "extras", "carry"):
        for path, array in getattr(batch, group).items():
            flat[f"{group}/{path}"] = array
    for name in _PLAIN:
        flat[name] = getattr(batch, name)
    if len(batch.episodes):
        for name in _EPISODES:
            flat[f"episodes/{name}"] = getattr(batch.episodes, name)
    if batch.header.epsilons:
        flat["epsilons"] = np.array(batch.header.epsilons, np.float64)
    return flat


def _header(fields: Fields, epsilons: Array | None, limits: Limits) -> Header:
    inner = Fields(fields.table("header"))
    n = inner.integer("n")
    ended = inner.items("ended_tasks")
    if len(ended) > _MOST_ENDED_TASKS or not all(map(is_short_text, ended)):
        raise MessageError("malformed", "ended_tasks are not at most 1,024 short texts")
    return Header(
        experiment=inner.text("experiment", EXPERIMENT_PATTERN),
        run=inner.text("run"),
        stage=inner.text("stage", _STAGE),
        n=n,
        user=inner.text("user"),
        player=inner.text("player"),
        policy_version=inner.integer("policy_version"),
        spec_version=inner.integer("spec_version"),
        task=inner.text("task"),
        ended_tasks=tuple(ended),
        seed=inner.integer("seed"),
        play_s=inner.number("play_s"),
        dropped=_drops(inner.items("dropped"), n, limits.drops),
        epsilons=() if epsilons is None else _epsilons(epsilons),
    )


def _drops(ranges: list[Any], before: int, most: int) -> tuple[Drop, ...]:
    drops: list[Drop] = []
    for item in ranges:
        if type(item) is not list or len(item) != 3:
            raise MessageError("malformed", "a drop is not [reason, first, count]")
        reason, first, count = item
        if type(reason) is not str or not _REASON.fullmatch(reason):
            raise MessageError("malformed", "a drop's reason is not a few small letters")
        if type(first) is not int or type(count) is not int or first < 0 or count < 1:
            raise MessageError("malformed", "a drop's numbers are not whole and positive")
        if first + count > before or len(drops) + count > most:
            raise MessageError("range", f"drops reach {first + count}, past batch {before}")
        drops.extend(Drop(n, reason) for n in range(first, first + count))
    return tuple(drops)


def _epsilons(array: Array) -> tuple[float, ...]:
    if array.dtype != np.float64 or array.ndim != 1:
        raise MessageError("shape", "epsilons are not one float64 per slot")
    values = array.tolist()
    if not all(math.isfinite(value) and 0 <= value <= 1 for value in values):
        raise MessageError("probability", "an exploration rate is outside 0 … 1")
    return tuple(values)


def _batch(header: Header, arrays: Arrays, slot_major: bool) -> SessionBatch:
    groups: dict[str, Arrays] = {
        "observations": {}, "actions": {}, "extras": {}, "carry": {}, "episodes": {}
    }  # fmt: skip
    plain: Arrays = {}
    for name, array in arrays.items():
        group, slash, path = name.partition("/")
        if slash and group in groups:
            groups[group][path] = array
        elif name in _PLAIN:
            plain[name] = array
        else:
            raise MessageError("unknown", f"no array is called {name[:64]!r}")
    if len(plain) != len(_PLAIN):
        raise MessageError("missing", f"{', '.join(sorted({*_PLAIN} - {*plain}))}")
    if plain["rewards"].ndim != 2:
        raise MessageError("shape", "rewards are not [ticks, slots]")
    if slot_major:
        groups["observations"] = _time_major(groups["observations"])
    return SessionBatch(
        header=header,
        observations=groups["observations"],
        actions=groups["actions"],
        extras=groups["extras"],
        carry=groups["carry"],
        episodes=_episodes(groups["episodes"]),
        **plain,
    )


def _time_major(observations: Arrays) -> Arrays:
    if any(array.ndim < 2 for array in observations.values()):
        raise MessageError("shape", "observations are not [slots, ticks + 1, …]")
    return {path: array.swapaxes(0, 1) for path, array in observations.items()}


def _episodes(columns: Arrays) -> Episodes:
    if not columns:
        return Episodes.none()
    if columns.keys() != _EPISODES.keys():
        raise MessageError("missing", f"episodes need exactly the columns {', '.join(_EPISODES)}")
    shape = columns["slots"].shape
    for name, dtype in _EPISODES.items():
        if columns[name].dtype != dtype or columns[name].shape != shape or len(shape) != 1:
            raise MessageError("shape", f"episodes/{name} is not one {dtype} per episode")
    return Episodes(**columns)


def _agree(batch: SessionBatch, headers: Mapping[str, Any]) -> None:
    """Raises MessageError when a message header says something else than the body."""
    body = {name: getattr(batch.header, name) for name in _REPEATED}
    body |= {"ticks": batch.ticks, "slots": batch.slots, "env_steps": batch.env_steps}
    for name, value in body.items():
        if headers.get(name) != value:
            said = repr(headers.get(name))[:80]
            raise MessageError("header", f"{name} = {said} in the headers, {value!r} in the body")
