"""py-amqp's reading of frames, made so that no player's message can break a learner's connection.

py-amqp decodes names as UTF-8 and dates as datetimes while it reads frames, and an error there
loses the connection: RabbitMQ then delivers the same message again, for ever. RabbitMQ
checks the structure of a message, not its texts and dates.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import unpack_from
from typing import Any

from amqp import spec
from amqp.method_framing import frame_handler

Frame = tuple[int, int, bytes]

_METHOD, _HEADER = 1, 2
_NO_PROPERTIES = b"\x00\x00"
_HEADER_START = 12
"""Class, weight and body length come before the properties."""


def tolerant_frame_handler(
    connection: Any, callback: Callable[..., None]
) -> Callable[[Frame], bool]:
    """A ``frame_handler`` for py-amqp: undecodable properties are none, routing keys empty."""
    read = frame_handler(connection, callback)

    def on_frame(frame: Frame) -> bool:
        kind, channel, payload = frame
        if kind == _METHOD and unpack_from(">HH", payload, 0) == spec.Basic.Deliver:
            frame = (kind, channel, _with_readable_key(payload))
        elif kind == _HEADER:
            try:
                return bool(read(frame))
            except Exception:
                # Reading it again is safe: the handler's state changes after the decoding.
                frame = (kind, channel, payload[:_HEADER_START] + _NO_PROPERTIES)
        return bool(read(frame))

    return on_frame


def _with_readable_key(payload: bytes) -> bytes:
    """A ``basic.deliver`` with an empty routing key where the sender's is not UTF-8."""
    at = 4
    at += 1 + payload[at]  # consumer tag
    at += 9  # delivery tag, redelivered
    at += 1 + payload[at]  # exchange
    key = payload[at + 1 : at + 1 + payload[at]]
    if key.isascii():
        return payload
    try:
        key.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return payload[:at] + b"\x00"
    return payload
