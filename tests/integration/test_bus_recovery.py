"""Connections that are cut, and consumers that pause: nothing lost, nothing handed over twice."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Iterator

import pytest
from bus_ends import Bus, eventually

pytestmark = pytest.mark.integration


@pytest.fixture
def bus(services) -> Iterator[Bus]:
    both_ends = Bus(services)
    yield both_ends
    both_ends.close()


def test_the_consumer_recovers_from_a_cut_and_hands_nothing_over_twice(bus) -> None:
    consumer = bus.started()
    publisher = bus.publisher()
    bus.publish(publisher, "a:0", "a:1")
    first, second = bus.take(2)

    bus.cut()
    bus.publish(publisher, "a:2")
    (third,) = bus.take(1)
    for delivery in (first, second, third):
        consumer.settle(delivery, delivery.message_id)

    assert third.message_id == "a:2"
    assert eventually(lambda: len(bus.committed) == 3)
    assert eventually(lambda: consumer.ready == 0)
    consumer.stop(timeout_s=5)
    assert consumer.error is None
    assert bus.taken.empty()
    assert bus.waiting() == 0  # the two first were acked on the new connection


def test_publishing_recovers_from_cuts_and_loses_no_confirmed_message(bus) -> None:
    consumer = bus.started(queue_batches=4)
    publisher = bus.publisher()
    confirmed: list[str] = []
    published, trained = threading.Event(), threading.Event()

    def publish() -> None:
        while not published.is_set():
            name = f"a:{len(confirmed)}"
            bus.publish(publisher, name)
            confirmed.append(name)

    def train() -> None:
        while not trained.is_set():
            with contextlib.suppress(queue.Empty):
                (delivery,) = bus.take(1, within_s=0.1)
                consumer.settle(delivery, None)

    threads = [threading.Thread(target=publish), threading.Thread(target=train)]
    for thread in threads:
        thread.start()
    for _ in range(4):
        time.sleep(0.3)
        bus.cut()
    time.sleep(0.5)
    published.set()
    threads[0].join(30)

    assert eventually(lambda: set(confirmed) <= {name for name, _ in bus.committed})
    trained.set()
    threads[1].join(30)
    assert consumer.error is None
    assert len(confirmed) > 50
