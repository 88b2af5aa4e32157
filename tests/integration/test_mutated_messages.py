"""Mutated messages through a real RabbitMQ, read by the consumer that a learner runs."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from amqp.exceptions import AMQPError
from bus_ends import eventually

from tinyqueue.bus.broker import Broker, drop, new_channel
from tinyqueue.bus.consumer import ExperienceConsumer
from tinyqueue.bus.rabbitmq_queues import look
from tinyqueue.bus.topology import EXPERIENCE_EXCHANGE

pytestmark = pytest.mark.integration

COUNT = 500


@pytest.fixture
def broker(rabbitmq) -> Iterator[Broker]:
    vhost = f"test-{secrets.token_hex(4)}"
    yield Broker(rabbitmq.add_vhost(vhost))
    rabbitmq.delete_vhost(vhost)


class Sender:
    """Sends what RabbitMQ takes, and connects again when it closes the connection."""

    def __init__(self, broker: Broker, key: str) -> None:
        self._broker, self._key = broker, key
        self._connection = broker.open()
        self._channel = new_channel(self._connection)
        self.refused = 0

    def send(self, message) -> None:
        try:
            self._channel.basic_publish_confirm(message, EXPERIENCE_EXCHANGE, self._key)
        except (AMQPError, OSError):
            # Such as another's user_id, or an expiration that is no number.
            self.refused += 1
            drop(self._connection)
            self._connection = self._broker.open()
            self._channel = new_channel(self._connection)

    def close(self) -> None:
        drop(self._connection)


def test_mutations_through_rabbitmq_cost_only_themselves(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    import mutated_messages as messages
    from mutations import Bench

    monkeypatch.setattr(messages, "LOGIN", "guest")
    bench = Bench(tmp_path, seed=3)
    consumer = ExperienceConsumer(
        broker, messages.EXPERIMENT, bench.ingest, queue_batches=COUNT, prefetch=64
    )
    consumer.start()
    is_over = threading.Event()

    def train() -> None:
        while not is_over.is_set():
            bench.train()
            time.sleep(0.002)

    trainer = threading.Thread(target=train)
    trainer.start()
    sender = Sender(broker, f"{messages.EXPERIMENT}.guest")
    try:
        for _ in range(COUNT):
            sender.send(messages.as_amqp(bench.corpus.message()))
        last = bench.corpus.session()
        sender.send(messages.as_amqp(last))
        # All that was sent before it has been read then.
        assert eventually(lambda: bench.ledger.knows(last[2]["message_id"]), 30)
        with broker.open() as connection:
            queue = f"experience.{messages.EXPERIMENT}"
            assert eventually(lambda: look(connection, queue) == (0, 1))
        in_hand = consumer._in_hand
        # Sound sessions are in hand until they have been trained on.
        held = (in_hand._by_id, in_hand._settled, in_hand._not_set_aside, in_hand._uncommitted)
        assert eventually(lambda: not any(held), 30)
        consumer.stop(timeout_s=10)
    finally:
        is_over.set()
        trainer.join(10)
        consumer.stop(timeout_s=10)
        sender.close()
        bench.close()

    assert consumer.error is None
    assert not consumer.failures
    assert sender.refused < COUNT / 2
    with broker.open() as connection:
        # Everything was acked, and nothing has been left.
        assert look(connection, queue) is None
