"""Reading frames for py-amqp with one system call per message, and surviving malformed ones."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from struct import unpack_from
from typing import Any

from amqp import spec
from amqp.exceptions import UnexpectedFrame
from amqp.method_framing import frame_handler

Frame = tuple[int, int, bytes]
"""Type, channel, payload."""

_METHOD, _HEADER = 1, 2
_END = 0xCE
_OVERHEAD = 8
"""Bytes of a frame around its payload: seven before it and one after."""
_BUFFER = 256 * 2**10
"""Two of RabbitMQ's largest frames."""
_NO_PROPERTIES = b"\x00\x00"
_HEADER_START = 12
"""Class, weight and body length come before the properties."""


class FrameReader:
    """Reads ahead for one py-amqp connection, in place of py-amqp's own reader.

    py-amqp makes three system calls per frame, and two more for the timeout: about 25 for a
    message of 65 kB. Here the timeout is the socket's own. After a ``TimeoutError`` reading
    resumes where it stopped.

    Args:
        amqp: An open ``amqp.Connection``, which from now on reads through this.
    """

    def __init__(self, amqp: Any) -> None:
        self._amqp = amqp
        self._sock = amqp.sock
        self._buffer = memoryview(bytearray(_BUFFER))
        self._start = self._end = 0
        amqp.transport.read_frame = self._read_frame

    def read_available(self) -> None:
        """Dispatches what has arrived. Does not block if the socket is readable."""
        self._fill()
        self.read_buffered()

    def read_buffered(self) -> None:
        """Dispatches what was read ahead, with the answer to a command; never blocks."""
        while isinstance(self._sock, ssl.SSLSocket) and self._sock.pending():
            self._fill()
        while (frame := self._next()) is not None:
            self._amqp.on_inbound_frame(frame)

    def _read_frame(self) -> Frame:
        while (frame := self._next()) is None:
            self._fill()
        return frame

    def _next(self) -> Frame | None:
        buffered = self._end - self._start
        if buffered < _OVERHEAD:
            return None
        kind, channel, length = unpack_from(">BHI", self._buffer, self._start)
        if buffered < length + _OVERHEAD:
            return None
        begin = self._start + _OVERHEAD - 1
        end = begin + length
        if self._buffer[end] != _END:
            raise UnexpectedFrame(f"a frame ends with {self._buffer[end]:#04x}")
        self._start = end + 1
        return kind, channel, self._buffer[begin:end].tobytes()

    def _fill(self) -> None:
        self._make_room()
        try:
            count = self._sock.recv_into(self._buffer[self._end :])
        except (BlockingIOError, ssl.SSLWantReadError) as error:
            raise TimeoutError("nothing has arrived") from error
        if not count:
            raise ConnectionResetError("the broker closed the connection")
        self._end += count

    def _make_room(self) -> None:
        buffered, size = self._end - self._start, len(self._buffer)
        if not buffered:
            self._start = self._end = 0
        elif size - self._end < size // 4:
            old = self._buffer[self._start : self._end]
            if buffered > size // 2:
                self._buffer = memoryview(bytearray(2 * size))
            self._buffer[:buffered] = old
            self._start, self._end = 0, buffered


def tolerant_frame_handler(
    connection: Any, callback: Callable[..., None]
) -> Callable[[Frame], bool]:
    """A ``frame_handler`` for py-amqp that takes no order from what a sender wrote.

    It drops undecodable properties and routing keys: py-amqp decodes strings as UTF-8 and
    timestamps as datetimes, and an error there loses the connection. RabbitMQ, which checks
    neither, would then redeliver the same message for ever.

    It also drops the sender's choice of a codec. py-amqp decodes a body by any codec of Python's
    that ``content_encoding`` names, of which ``punycode`` takes 17 s for 400 kB; and kombu unpacks
    it, without a bound, by the one that a header names.
    """

    def on_content(channel: int, method: tuple[int, int], arguments: bytes, content: Any) -> None:
        if content is not None:
            content.properties.pop("content_encoding", None)
            headers = content.properties.get("application_headers")
            if headers:
                headers.pop("compression", None)
        callback(channel, method, arguments, content)

    read = frame_handler(connection, on_content)

    def on_frame(frame: Frame) -> bool:
        kind, channel, payload = frame
        if kind == _METHOD and unpack_from(">HH", payload, 0) == spec.Basic.Deliver:
            frame = (kind, channel, _with_readable_key(payload))
        elif kind == _HEADER:
            try:
                return bool(read(frame))
            except Exception:
                # Reading it again is safe: the handler changes its state only after decoding.
                frame = (kind, channel, payload[:_HEADER_START] + _NO_PROPERTIES)
        return bool(read(frame))

    return on_frame


def _with_readable_key(payload: bytes) -> bytes:
    """A ``basic.deliver`` whose routing key is emptied if it is not UTF-8."""
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
