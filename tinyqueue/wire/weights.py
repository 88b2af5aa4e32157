"""One weight version as bytes: raw arrays by variable path, with a sha256 over everything.

Weights are not compressed: they look like noise to a compressor, and a player waits for them.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from tinyqueue.data.spaces import Arrays
from tinyqueue.errors import MessageError
from tinyqueue.wire.arrays import parts, unpack
from tinyqueue.wire.fields import Fields
from tinyqueue.wire.limits import WEIGHT_LIMITS, Limits

_HASH_BYTES = 32
_SHA256 = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class WeightVersion:
    """The weights of a policy as they are published.

    Attributes:
        version: Rises by one per publish in an experiment and is never reused.
        epoch: Epoch of the learner's lease; the store refuses one lower than it has seen.
        run: The run that trained them.
        updates, env_steps: The point in that run.
        graph_sha256: The policy graph that they belong to.
        arrays: Variable path → array.
    """

    version: int
    epoch: int
    run: str
    updates: int
    env_steps: int
    graph_sha256: str
    arrays: Arrays


def encode_weights(weights: WeightVersion) -> bytes:
    """The sha256 of a frame, then the frame (:mod:`tinyqueue.wire.arrays`)."""
    frame = parts(
        {
            "version": weights.version,
            "epoch": weights.epoch,
            "run": weights.run,
            "updates": weights.updates,
            "env_steps": weights.env_steps,
            "graph_sha256": weights.graph_sha256,
        },
        weights.arrays,
    )
    digest = hashlib.sha256()
    for part in frame:
        digest.update(part)
    return b"".join([digest.digest(), *frame])


def decode_weights(body: bytes | memoryview, limits: Limits = WEIGHT_LIMITS) -> WeightVersion:
    """The weights; their arrays are read-only views into ``body``.

    Raises:
        MessageError: ``too-large``, ``hash`` if any bit differs from what was encoded, or
            ``malformed``.
    """
    view = memoryview(body)
    if len(view) > limits.body_bytes:
        raise MessageError(
            "too-large", f"{len(view)} bytes of weights; at most {limits.body_bytes}"
        )
    frame = view[_HASH_BYTES:]
    if hashlib.sha256(frame).digest() != view[:_HASH_BYTES]:
        raise MessageError("hash", "the weights differ from what was published; fetch them again")
    values, arrays = unpack(frame, limits)
    fields = Fields(values)
    return WeightVersion(
        version=fields.integer("version"),
        epoch=fields.integer("epoch"),
        run=fields.text("run"),
        updates=fields.integer("updates"),
        env_steps=fields.integer("env_steps"),
        graph_sha256=fields.text("graph_sha256", _SHA256),
        arrays=arrays,
    )
