"""Experience on Redis: a bounded list per experiment, and one key per delivery in hand.

kombu's Redis transport pops a message and stores it as unacked in a second step. A learner
killed in between loses it, and any Celery worker on the same database may sweep what is
unacked and delete what it cannot route. Here ``BLMOVE`` (Redis 6.2) does both in one step,
into keys that nobody sweeps, and an ack is one ``DEL``. Bodies travel as they are, whereas
kombu would encode each as base64 in JSON, twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgpack

from tinyqueue.bus.topology import experience_queue_name

_FORMAT = 1

PUSH_IF_ROOM = """
if redis.call('LLEN', KEYS[1]) >= tonumber(ARGV[1]) then return 0 end
redis.call('LPUSH', KEYS[1], ARGV[2])
return 1
"""
"""One step, so that many players together respect the limit."""


def list_key(experiment: str) -> str:
    """The list where messages wait, named like the queue on RabbitMQ."""
    return experience_queue_name(experiment)


def in_hand_key(experiment: str, *parts: int | str) -> str:
    """The key of a delivery until it is acked; parts are consumer, link and prefetch slot."""
    return ":".join(("tinyqueue:unacked", experiment, *map(str, parts)))


def pack(body: bytes, properties: Mapping[str, Any], headers: Mapping[str, Any]) -> bytes:
    """A message as one msgpack frame: format number, properties, headers, body."""
    packed: bytes = msgpack.packb((_FORMAT, dict(properties), dict(headers), body))
    return packed


def unpack(frame: bytes) -> tuple[bytes, dict[str, Any], dict[str, Any]]:
    """Body, properties and headers of a frame.

    Anything else is returned whole as the body, with no properties and no headers.
    """
    try:
        version, properties, headers, body = msgpack.unpackb(
            frame, strict_map_key=True, max_ext_len=0, max_map_len=256, max_array_len=256
        )
    except Exception:
        # Whatever it is, somebody sent it: the reader sets it aside.
        return frame, {}, {}
    good = version == _FORMAT and isinstance(properties, dict) and isinstance(headers, dict)
    if not good or not isinstance(body, bytes):
        return frame, {}, {}
    return body, properties, headers
