"""Recorded messages: a file of ``[1, properties, headers, body]``, one msgpack array each.

It is how a message waits on embedded Redis too, so what is recorded there needs no conversion.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgpack

from tinyqueue.errors import MessageError
from tinyqueue.wire.limits import SESSION_LIMITS

FORMAT = 1
_MOST_FRAMING = 2**20
# Properties and headers are a few hundred bytes.


@dataclass(frozen=True)
class Recorded:
    """One message as it was published.

    Attributes:
        properties: AMQP properties by name.
        headers: Message headers.
        body: The body.
    """

    properties: Mapping[str, Any]
    headers: Mapping[str, Any]
    body: bytes


def recorded(properties: Mapping[str, Any], headers: Mapping[str, Any], body: bytes) -> bytes:
    """A message for the end of a file."""
    packed: bytes = msgpack.packb((FORMAT, dict(properties), dict(headers), body))
    return packed


def read_recorded(data: bytes) -> Iterator[Recorded]:
    """The messages of a file, one after the other.

    Raises:
        MessageError: ``malformed``: what follows is not such an array; those before it were given.
    """
    most = SESSION_LIMITS.body_bytes + _MOST_FRAMING
    unpacker = msgpack.Unpacker(
        max_buffer_size=len(data) or 1,
        max_bin_len=most,
        max_str_len=_MOST_FRAMING,
        max_ext_len=0,
        max_map_len=256,
        max_array_len=256,
        strict_map_key=True,
    )
    unpacker.feed(data)
    while unpacker.tell() < len(data):
        start = unpacker.tell()
        try:
            found = unpacker.unpack()
        except Exception as error:  # msgpack raises whatever its bytes make of it.
            raise MessageError(
                "malformed", f"no message at byte {start}: {type(error).__name__}: {error}"
            ) from None
        yield _message(found, start)


def _message(found: object, start: int) -> Recorded:
    if isinstance(found, list) and len(found) == 4 and found[0] == FORMAT:
        _, properties, headers, body = found
        if isinstance(properties, dict) and isinstance(headers, dict) and isinstance(body, bytes):
            return Recorded(properties, headers, body)
    raise MessageError(
        "malformed", f"at byte {start} is no array [{FORMAT}, properties, headers, body]"
    )
