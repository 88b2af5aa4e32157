"""Given a task that ends while Redis is away: its worker takes the next one when it is back."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from bus_ends import eventually
from kombu import Consumer, Message, Producer, Queue

from tinyqueue.bus.broker import Broker, new_channel
from tinyqueue.local.redis_server import RedisServer

pytestmark = pytest.mark.integration

LOG = logging.getLogger(__name__)
WAYS: dict[str, Callable[[Message, tuple[type, ...]], object]] = {
    "ack": lambda message, errors: message.ack_log_error(LOG, errors),
    "reject": lambda message, errors: message.reject_log_error(LOG, errors),
    "put back": lambda message, errors: message.reject_log_error(LOG, errors, requeue=True),
}
"""As Celery's main process settles a task: it logs an error of the connection, and goes on."""


@pytest.fixture
def server(tmp_path: Any) -> Iterator[RedisServer]:
    """Of this test's own, since it is stopped."""
    with RedisServer(tmp_path) as server:
        yield server


# Where it is back at once, redis-py connects again, and the settlement is carried out.
@pytest.mark.parametrize("is_back", [False, True], ids=["away", "away and back"])
@pytest.mark.parametrize("way", WAYS)
def test_a_settlement_that_fails_costs_no_credit(
    server: RedisServer, way: str, is_back: bool
) -> None:
    broker = Broker(server.broker_url)
    in_hand: list[Message] = []
    with broker.open() as connection:
        # Given a worker with a credit of one, and a task in its hand
        channel = new_channel(connection)
        Queue("play", channel=channel).declare()
        consumer = Consumer(channel, [Queue("play")], accept=["json"])
        consumer.callbacks = [lambda body, message: in_hand.append(message)]
        consumer.qos(prefetch_count=1)
        consumer.consume()
        send(broker)
        taken(connection, in_hand, 1)

        # When the task ends while Redis is away
        server.stop()
        if is_back:
            server.start()
        WAYS[way](in_hand[0], connection.connection_errors)
        if not is_back:
            server.start()

        # Then the worker takes the next
        send(broker)
        taken(connection, in_hand, 2)


def send(broker: Broker) -> None:
    with broker.open() as connection:
        Producer(new_channel(connection)).publish({}, serializer="json", routing_key="play")


def taken(connection: Any, in_hand: list[Message], count: int) -> None:
    def waits() -> bool:
        with contextlib.suppress(TimeoutError, *connection.connection_errors):
            connection.drain_events(timeout=0.1)
        return len(in_hand) >= count

    assert eventually(waits), f"took {len(in_hand)} of {count}"
