from __future__ import annotations

import socket
from collections.abc import Iterator
from struct import pack
from types import SimpleNamespace
from typing import Any

import amqp
import pytest
from amqp import spec
from amqp.exceptions import UnexpectedFrame
from amqp.serialization import dumps
from hypothesis import given
from hypothesis import strategies as st
from kombu.transport import pyamqp

from tinyqueue.bus.amqp_frames import FrameReader, tolerant_frame_handler


def frame(payload: bytes, kind: int = 3, channel: int = 1) -> bytes:
    return pack(">BHI", kind, channel, len(payload)) + payload + b"\xce"


class Wire:
    """A FrameReader with the broker's end of its socket."""

    def __init__(self) -> None:
        self.broker, sock = socket.socketpair()
        sock.settimeout(0.05)
        self.sock = sock
        self.got: list[tuple[int, int, bytes]] = []
        transport = SimpleNamespace(read_frame=None)
        self.amqp = SimpleNamespace(
            sock=sock, transport=transport, on_inbound_frame=self.got.append
        )
        self.reader = FrameReader(self.amqp)

    def read_until(self, count: int) -> list[tuple[int, int, bytes]]:
        while len(self.got) < count:
            self.reader.read_available()
        return self.got


@pytest.fixture
def wire() -> Iterator[Wire]:
    wire = Wire()
    yield wire
    wire.broker.close()
    wire.sock.close()


def test_frames_that_arrive_together_are_read_together(wire: Wire) -> None:
    wire.broker.sendall(frame(b"one", kind=1, channel=2) + frame(b"") + frame(b"three"))

    wire.reader.read_available()

    assert wire.got == [(1, 2, b"one"), (3, 1, b""), (3, 1, b"three")]


def test_what_came_with_the_answer_to_a_command_is_dispatched_without_waiting(wire: Wire) -> None:
    wire.broker.sendall(frame(b"declare-ok", kind=1) + frame(b"deliver", kind=1))
    assert wire.amqp.transport.read_frame() == (1, 1, b"declare-ok")
    assert wire.got == []

    wire.reader.read_buffered()
    assert wire.got == [(1, 1, b"deliver")]
    wire.reader.read_buffered()  # does not block


def test_a_frame_that_arrives_in_pieces_is_read_when_it_is_whole(wire: Wire) -> None:
    whole = frame(b"payload") + frame(b"next")
    for at in range(len(whole)):
        wire.broker.sendall(whole[at : at + 1])
        wire.reader.read_available()

    assert wire.got == [(3, 1, b"payload"), (3, 1, b"next")]


def test_waiting_for_the_rest_ends_with_the_time_limit_and_goes_on_later(wire: Wire) -> None:
    whole = frame(b"payload")
    wire.broker.sendall(whole[:9])
    with pytest.raises(TimeoutError):
        wire.amqp.transport.read_frame()

    wire.broker.sendall(whole[9:])
    assert wire.amqp.transport.read_frame() == (3, 1, b"payload")


def test_frames_of_any_size_come_through_in_order(wire: Wire) -> None:
    payloads = [
        bytes([n]) * size for n, size in enumerate((3, 131_064, 70_000, 900_000, 0, 131_064))
    ]
    for payload in payloads:
        rest = memoryview(frame(payload))
        while rest:
            sent = wire.broker.send(rest[:50_000])
            rest = rest[sent:]
            wire.reader.read_available()

    assert [payload for _, _, payload in wire.read_until(6)] == payloads


def test_a_closed_connection_is_an_error(wire: Wire) -> None:
    wire.broker.close()

    with pytest.raises(ConnectionResetError):
        wire.reader.read_available()


def test_bytes_that_are_no_frame_are_an_error(wire: Wire) -> None:
    wire.broker.sendall(frame(b"payload")[:-1] + b"\x00")

    with pytest.raises(UnexpectedFrame):
        wire.reader.read_available()


class Reading:
    """A channel as kombu opens it, with its connection's frame handler and no connection."""

    def __init__(self) -> None:
        self.got: list[Any] = []
        connection: Any = SimpleNamespace(
            bytes_recv=0, channels={}, confirm_publish=False, _claim_channel_id=lambda _: None
        )
        channel: Any = pyamqp.Channel(connection, 1)
        self.channel = channel
        self.channel.callbacks["tag"] = self.got.append
        self._read = tolerant_frame_handler(connection, self._dispatch)

    def _dispatch(
        self, channel: int, method: tuple[int, int], payload: bytes, content: Any
    ) -> None:
        self.channel.dispatch_method(method, payload, content)

    def receive(self, message: Any) -> Any:
        arguments = dumps("sLbss", ("tag", 1, False, "experience", "pole.ann"))
        self._read((1, 1, pack(">HH", *spec.Basic.Deliver) + arguments))
        size = len(message.body)
        self._read((2, 1, pack(">HHQ", 60, 0, size) + message._serialize_properties()))
        self._read((3, 1, message.body))
        return self.got.pop()


CODECS = ("punycode", "idna", "latin-1", "rot13", "zlib_codec", "utf-16", "utf-8", "none such")


@given(
    codec=st.one_of(st.sampled_from(CODECS), st.text(max_size=20)),
    body=st.one_of(st.just(b"a" * 200 + b"-" + b"b" * 200), st.binary(min_size=1, max_size=50)),
)
def test_a_sender_chooses_no_codec_for_the_body(codec: str, body: bytes) -> None:
    reading = Reading()

    message = reading.receive(amqp.Message(body, content_encoding=codec, message_id="a:0"))

    assert message.body == body
    assert message.properties == {"message_id": "a:0"}


def test_kombu_unpacks_no_body_because_a_header_says_so() -> None:
    reading = Reading()
    headers = {"compression": "application/x-gzip", "ticks": 8}

    raw = reading.receive(amqp.Message(b"packed", application_headers=headers))

    message = reading.channel.message_to_python(raw)
    assert (message.body, message.headers, message.errors) == (b"packed", {"ticks": 8}, [])
