"""Session batches as message bodies and headers.

The message headers repeat what a learner must know before it unpacks a body; a body that
contradicts them is refused. With compression, observations travel slot-major: consecutive
frames of one episode are then neighbours, which makes them compress well.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyqueue.data.episodes import Episodes
from tinyqueue.data.session import SCHEMA, Header, SessionBatch
from tinyqueue.data.spaces import Arrays
from tinyqueue.errors import ConfigError, MessageError
from tinyqueue.wire.arrays import pack, unpack
from tinyqueue.wire.compression import compress, decompress
from tinyqueue.wire.documents import require_schema
from tinyqueue.wire.fields import Fields, shown
from tinyqueue.wire.headers import header_from, header_values
from tinyqueue.wire.limits import SESSION_LIMITS, Limits

SESSION_TYPE = "application/x-tinyqueue-session"
"""Content type of a session message."""

_REPEATED = ("experiment", "run", "policy_version", "spec_version", "player")
_PLAIN = ("rewards", "terminated", "truncated", "valid")
_EPISODES = {"slots": "int32", "returns": "float32", "lengths": "int32", "seconds": "float32"}

_INFO = ("info_last", "info_mean")
# Only where an experiment records them: earlier versions do not know these columns.


@dataclass(frozen=True)
class Encoded:
    """A message: its body, and the headers that its decoder needs as well."""

    body: bytes
    headers: dict[str, str | int]


def encode_session(batch: SessionBatch, codec: str = "none") -> Encoded:
    """One session batch as a message of type :data:`SESSION_TYPE`.

    Only the newest 1,024 ended tasks, and 65,536 drops in 64 ranges, are reported; older ones have
    expired at the learner, or stay counted as missing.

    Raises:
        ConfigError: The batch is larger than a learner accepts.
        ValueError: An array is empty or of a dtype that cannot travel, or the codec is unknown.
    """
    slot_major = codec != "none"
    values = {"header": header_values(batch.header), "slot_major": slot_major}
    raw = pack(values, _flat(batch, slot_major))
    body = compress(codec, raw)
    if len(body) > SESSION_LIMITS.body_bytes or len(raw) > SESSION_LIMITS.raw_bytes:
        raise ConfigError(
            f"a session batch of {batch.ticks} ticks of {batch.slots} slots has {len(body)} bytes "
            f"({len(raw)} before {codec} compression); a learner accepts "
            f"{SESSION_LIMITS.body_bytes} ({SESSION_LIMITS.raw_bytes}). Lower session.ticks or "
            "session.slots."
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
    """The session batch; its arrays are read-only. Check it against a Contract before use.

    Raises:
        MessageError: It cannot be decoded. No bytes or headers raise anything else.
    """
    view = memoryview(body)
    outer = Fields(headers, "header")
    require_schema(outer)
    raw_bytes = outer.integer("raw_bytes")
    if len(view) > limits.body_bytes or raw_bytes > limits.raw_bytes:
        raise MessageError(
            "too-large",
            f"{len(view)} bytes that unpack to {raw_bytes}; at most {limits.body_bytes} and "
            f"{limits.raw_bytes} are allowed. Use fewer slots or ticks per session batch.",
        )
    values, arrays = unpack(decompress(outer.text("codec"), view, raw_bytes), limits)
    fields = Fields(values)
    header = header_from(Fields(fields.table("header")), arrays.pop("epsilons", None), limits)
    batch = _batch(header, arrays, fields.flag("slot_major"))
    _agree(batch, headers)
    return batch


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
        for name in _INFO:
            if getattr(batch.episodes, name).size:
                flat[f"episodes/{name}"] = getattr(batch.episodes, name)
    if batch.header.epsilons:
        flat["epsilons"] = np.array(batch.header.epsilons, np.float64)
    return flat


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
    if {*columns} not in ({*_EPISODES}, {*_EPISODES, *_INFO}):
        raise MessageError("missing", f"episodes need exactly the columns {', '.join(_EPISODES)}")
    shape = columns["slots"].shape
    for name, dtype in _EPISODES.items():
        if columns[name].dtype != dtype or columns[name].shape != shape or len(shape) != 1:
            raise MessageError("shape", f"episodes/{name} is not one {dtype} per episode")
    numbers = [columns[name] for name in _INFO if name in columns]
    for array in numbers:
        if array.dtype != "float32" or array.ndim != 2 or len(array) != shape[0]:
            raise MessageError("shape", "episodes' info is not K float32 numbers per episode")
    if len({array.shape for array in numbers}) > 1:
        raise MessageError("shape", "episodes have not as many last values of info as means")
    return Episodes(**columns)


def _agree(batch: SessionBatch, headers: Mapping[str, Any]) -> None:
    """Raises MessageError when a message header contradicts the body."""
    body = {name: getattr(batch.header, name) for name in _REPEATED}
    body |= {"ticks": batch.ticks, "slots": batch.slots, "env_steps": batch.env_steps}
    for name, value in body.items():
        if headers.get(name) != value:
            said = shown(headers.get(name))
            raise MessageError("header", f"{name} = {said} in the headers, {value!r} in the body")
