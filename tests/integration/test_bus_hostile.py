"""What a player's login can send to RabbitMQ to harm a learner, and what comes of it."""

from __future__ import annotations

import contextlib
import time
from typing import Any

import pytest
from bus_ends import EXPERIMENT, Bus, eventually, goes_on

from tinyqueue.bus.rabbitmq_consuming import RabbitmqConsuming
from tinyqueue.bus.rabbitmq_queues import (
    look,
)

pytestmark = pytest.mark.integration

QUEUE = f"experience.{EXPERIMENT}"
FRAME = 131_072 - 8
"""What a frame of RabbitMQ's default size holds."""


def sets_aside(bus: Bus, consumer: Any, name: str) -> None:
    (delivery,) = bus.take(1)
    assert delivery.message_id == name
    consumer.settle(delivery, "mark", set_aside="type")


def test_headers_that_fill_a_frame_hold_up_nothing(bus, send) -> None:
    consumer = bus.started(prefetch=3)
    room = FRAME - 12 - 2 - 5 - len("application/x-test") - 60
    for n in range(4):
        send(f"bad:{n}", {"x": "A" * room})
        sets_aside(bus, consumer, f"bad:{n}")

    assert goes_on(bus, consumer, "a:0") < 2.0
    consumer.stop(timeout_s=5)
    assert consumer.error is None
    letters = bus.dead_letters()
    assert [headers["reason"] for _, headers in letters] == ["type"] * 4
    assert all(headers.keys() == {"reason", "experiment", "login"} for _, headers in letters)


@pytest.mark.parametrize(
    "headers",
    [
        {b"\xff": "x"},
        {"ticks": b"\xff\xfe"},
        {"ticks": {"nested": [1, {"deep": "x" * 1000}]}},
        {"x" * 255: "y" * 60_000, "player": "z" * 60_000},
        {"player": "\x1b]0;pwned\x07", "codec": "\u202e"},
        {f"k{n}": n for n in range(3000)},
    ],
    ids=lambda headers: str(headers)[:30],
)
def test_only_known_headers_as_short_text_and_counts_arrive(bus, send, headers) -> None:
    bus.started()
    send("bad:0", {**headers, "slots": 4})

    (delivery,) = bus.take(1)
    assert delivery.headers == {"slots": 4}
    assert delivery.login == "guest"


def test_a_body_stays_bytes_in_whatever_codec_its_sender_names(bus, send) -> None:
    consumer = bus.started(prefetch=3)
    # By punycode these take more than a minute.
    body = b"a" * 400_000 + b"-" + b"b" * 400_000
    codecs = ("punycode", "idna", "latin-1", "rot13", "zlib_codec", "utf-16", "utf-8", "none such")
    began_s = time.process_time()
    for codec in codecs:
        send(codec, body=body, content_encoding=codec)
        (delivery,) = bus.take(1)
        assert (delivery.message_id, delivery.body == body) == (codec, True)
        consumer.settle(delivery, "mark", set_aside="type")

    assert eventually(lambda: len(bus.committed) == len(codecs))
    assert time.process_time() - began_s < 5.0
    consumer.stop(timeout_s=5)
    assert consumer.error is None
    assert [letter == body for letter, _ in bus.dead_letters()] == [True] * len(codecs)


def test_a_letter_that_the_broker_refuses_for_its_size_is_told_and_let_go(bus, send) -> None:
    consumer = bus.started()
    names = [f"bad:{n}" for n in range(3)]
    for name in names:
        send(name, body=bytes(60_000))
    deliveries = bus.take(3)
    node = bus.services.node
    node.eval("application:set_env(rabbit, max_message_size, 50000).")
    try:
        for delivery in deliveries:
            consumer.settle(delivery, "mark", set_aside="shape")
        assert eventually(lambda: len(bus.committed) == 3, within_s=4)
        assert goes_on(bus, consumer, "a:0") < 2.0
    finally:
        node.eval("application:set_env(rabbit, max_message_size, 134217728).")
    consumer.stop(timeout_s=5)

    letters = bus.dead_letters()
    assert [(body, headers["reason"]) for body, headers in letters] == [(b"", "shape")] * 3
    assert all(headers["left_out"].startswith("60000 bytes") for _, headers in letters)


def test_two_bad_messages_after_a_quiet_minute_do_not_stop_the_stream(bus, send, monkeypatch):
    # RabbitMQ closes the idle connection of the dead letters after two heartbeats: here 2 s.
    monkeypatch.setattr("tinyqueue.bus.rabbitmq_publishing.PUBLISHER_HEARTBEAT_S", 1)
    consumer = bus.started(prefetch=2)
    send("bad:0")
    sets_aside(bus, consumer, "bad:0")
    assert eventually(lambda: len(bus.committed) == 1)
    time.sleep(4.0)

    for n in (1, 2):
        send(f"bad:{n}")
        sets_aside(bus, consumer, f"bad:{n}")

    assert goes_on(bus, consumer, "a:0") < 1.0
    assert eventually(lambda: len(bus.committed) == 4)


def test_messages_that_expire_fill_no_disk_and_are_set_aside(bus, send) -> None:
    consumer = bus.started(prefetch=3, queue_batches=2)
    bus.publish(bus.publisher(), "a:0", "a:1", "a:2")
    held = bus.take(3)  # the learner takes no more for now
    for n in range(200):
        send(f"bad:{n}", body=bytes(100_000), expiration="0")

    with bus.broker.open() as connection:
        kept = look(connection, f"{QUEUE}.kept")
    assert kept is not None
    assert kept.messages <= 8 * (2 + 3)
    for delivery in held:
        consumer.settle(delivery, "mark")
    assert goes_on(bus, consumer, "b:0") < 5.0
    assert eventually(lambda: bus.waiting(f"{QUEUE}.kept") == 0)
    # None of them came as far as the handler.
    assert bus.taken.empty()
    consumer.stop(timeout_s=5)
    reasons = {headers["reason"] for _, headers in bus.dead_letters()}
    assert reasons == {"expiration"}


def test_a_learner_that_has_vanished_is_noticed_within_15_seconds(bus) -> None:
    # It reads nothing and sends no heartbeat any more, and its socket stays open.
    vanished = RabbitmqConsuming(
        bus.broker, EXPERIMENT, queue_batches=2, prefetch=3, queue_type="classic", declare=True
    )
    with contextlib.closing(vanished):
        bus.publish(bus.publisher(), "a:0")
        began_s = time.monotonic()
        bus.started()

        (delivery,) = bus.take(1, within_s=20)
        assert delivery.message_id == "a:0"
        assert time.monotonic() - began_s < 15


def test_a_disk_that_hangs_for_seconds_does_not_cost_the_connection(bus) -> None:
    def commit(group: Any) -> None:
        time.sleep(6.0)
        bus.commit(group)

    consumer = bus.started(commit=commit)
    bus.publish(bus.publisher(), "a:0")
    consumer.settle(bus.take(1)[0], "mark")

    assert eventually(lambda: len(bus.committed) == 1)
    assert eventually(lambda: bus.waiting() == 0)
    assert bus.taken.empty()
    assert consumer.links == 1
