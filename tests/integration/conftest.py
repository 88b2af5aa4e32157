"""A contract for what takes one and is given no session batch, and a bus on RabbitMQ."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from bus_ends import EXPERIMENT, Bus
from pole import contract as contract

from tinyqueue.bus.messages import PublishOutcome
from tinyqueue.bus.rabbitmq_publishing import RabbitmqPublishing
from tinyqueue.bus.topology import EXPERIENCE_EXCHANGE


@pytest.fixture
def bus(rabbitmq) -> Iterator[Bus]:
    vhost = f"test-{secrets.token_hex(4)}"
    url = rabbitmq.add_vhost(vhost)
    both_ends = Bus(SimpleNamespace(kind="rabbitmq", broker_url=url, node=rabbitmq))
    yield both_ends
    both_ends.close()
    rabbitmq.delete_vhost(vhost)


@pytest.fixture
def send(bus):
    """Publishes as a player could with a client of its own, until there is room."""
    link = RabbitmqPublishing(bus.broker)

    def send(message_id: str, headers: Any = None, body: bytes = b"", **properties: Any) -> None:
        give_up_s = time.monotonic() + 20
        while True:
            outcome = link.publish(
                body,
                exchange=EXPERIENCE_EXCHANGE,
                routing_key=f"{EXPERIMENT}.guest",
                timeout_s=5.0,
                application_headers=headers or {},
                message_id=message_id,
                content_type="application/x-test",
                user_id="guest",
                **properties,
            )
            if outcome is not PublishOutcome.FULL:
                assert outcome is PublishOutcome.CONFIRMED
                return
            assert time.monotonic() < give_up_s
            time.sleep(0.005)

    yield send
    link.close()
