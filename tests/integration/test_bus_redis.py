"""Redis as a broker: what is in a learner's hand is lost neither with it nor to sweeps."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import kombu
import pytest
from bus_ends import EXPERIMENT, Bus, eventually

from tinyqueue.bus.publisher import PublishOutcome
from tinyqueue.local.redis_server import RedisServer

pytestmark = pytest.mark.integration

LEARNER = """
import sys, threading
import tinyqueue.bus.redis_consuming
tinyqueue.bus.redis_consuming._WAIT_S = 1
from tinyqueue.bus.broker import Broker
from tinyqueue.bus.consumer import ExperienceConsumer
class Handler:
    def on_delivery(self, delivery, settle):
        print(delivery.message_id, flush=True)
    def commit(self, settled):
        pass
ExperienceConsumer(
    Broker(sys.argv[1]), sys.argv[2], Handler(), queue_batches=2, prefetch=3
).start()
print("ready", flush=True)
threading.Event().wait()
"""


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[Bus]:
    with RedisServer(tmp_path / "redis") as server:
        both_ends = Bus(
            SimpleNamespace(kind="embedded", broker_url=server.broker_url, server=server)
        )
        yield both_ends
        both_ends.close()


@pytest.fixture
def learner(bus: Bus) -> Iterator[subprocess.Popen[str]]:
    """A learner in a process of its own, which prints what it takes and settles nothing."""
    process = subprocess.Popen(
        [sys.executable, "-c", LEARNER, bus.services.broker_url, EXPERIMENT],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_what_a_killed_learner_had_in_hand_comes_first_to_the_next(bus, learner) -> None:
    publisher = bus.publisher()
    bus.publish(publisher, "a:0", "a:1", "a:2", "a:3", "a:4")
    assert [learner.stdout.readline() for _ in range(3)] == ["a:0\n", "a:1\n", "a:2\n"]
    learner.kill()
    learner.wait()
    assert bus.waiting() == 2

    consumer = bus.started(prefetch=5)

    taken = bus.take(5)
    assert {d.message_id for d in taken[:3]} == {"a:0", "a:1", "a:2"}
    assert [d.redelivered for d in taken] == [True, True, True, False, False]
    for delivery in taken:
        consumer.settle(delivery, None)
    assert eventually(lambda: len(bus.committed) == 5)
    consumer.stop(timeout_s=5)
    with bus.redis() as client:
        assert client.keys("tinyqueue:unacked:*") == []


def test_a_message_on_its_way_to_a_learner_that_is_killed_is_not_lost(bus, learner) -> None:
    """With kombu's BRPOP it would be neither in the queue nor among the unacked."""
    os.kill(learner.pid, signal.SIGSTOP)
    bus.publish(bus.publisher(), "a:0")
    assert eventually(lambda: bus.waiting() == 0)
    learner.kill()
    learner.wait()

    bus.started()

    assert bus.take(1)[0].message_id == "a:0"


def test_sweeps_of_celery_workers_touch_nothing_while_the_learner_is_dead(bus, learner) -> None:
    bus.publish(bus.publisher(), "a:0", "a:1", "a:2", "a:3")
    for _ in range(3):
        learner.stdout.readline()
    learner.kill()
    learner.wait()

    options = {"visibility_timeout": 0.2, "unacked_restore_throttle": 1}
    with kombu.Connection(bus.services.broker_url, transport_options=options) as worker:
        play = kombu.Queue("play", kombu.Exchange("tinyqueue.tasks", "direct"), routing_key="play")
        with worker.Consumer([play], callbacks=[lambda body, message: None]):
            until_s = time.monotonic() + 1.5
            while time.monotonic() < until_s:
                try:
                    worker.drain_events(timeout=0.1)
                except TimeoutError:
                    channel: Any = worker.default_channel
                    channel.qos.restore_visible(interval=1)

    bus.started(prefetch=4)
    assert sorted(d.message_id for d in bus.take(4)) == ["a:0", "a:1", "a:2", "a:3"]


def test_a_consumer_frozen_for_long_keeps_what_it_has_and_goes_on(bus, learner) -> None:
    publisher = bus.publisher()
    bus.publish(publisher, "a:0")
    assert learner.stdout.readline() == "a:0\n"
    os.kill(learner.pid, signal.SIGSTOP)
    time.sleep(1.5)  # longer than the server lets one BLMOVE wait
    bus.publish(publisher, "a:1")
    os.kill(learner.pid, signal.SIGCONT)

    assert learner.stdout.readline() == "a:1\n"
    with bus.redis() as client:
        assert len(client.keys("tinyqueue:unacked:*")) == 2


def test_many_players_together_keep_the_limit(bus) -> None:
    bus.started(prefetch=1)
    outcomes: list[PublishOutcome] = []

    def play(player: int) -> None:
        publisher = bus.publisher(queue_batches=5)
        outcomes.extend(publisher.publish(bus.message(f"{player}:{n}")) for n in range(20))

    players = [threading.Thread(target=play, args=(player,)) for player in range(8)]
    for player in players:
        player.start()
    for player in players:
        player.join()

    assert bus.waiting() == 5
    assert outcomes.count(PublishOutcome.CONFIRMED) == 6
    assert outcomes.count(PublishOutcome.FULL) == 154


def test_bytes_that_are_no_message_are_handed_over_as_they_are(bus) -> None:
    consumer = bus.started()
    with bus.redis() as client:
        client.lpush(f"experience.{EXPERIMENT}", b"\xc1 not msgpack", b"\x94\x01\x80\x80\x05")

    taken = bus.take(2)
    for delivery in taken:
        consumer.settle(delivery, None, set_aside="malformed")

    assert {d.body for d in taken} == {b"\xc1 not msgpack", b"\x94\x01\x80\x80\x05"}
    assert {(d.message_id, d.content_type) for d in taken} == {("", "")}
    assert eventually(lambda: len(bus.committed) == 2)
    consumer.stop(timeout_s=5)
    assert len(bus.dead_letters()) == 2


def test_a_frozen_server_makes_a_publish_unknown_and_the_batch_is_published_again(bus) -> None:
    consumer = bus.started()
    publisher = bus.publisher(confirm_timeout_s=0.5)
    bus.publish(publisher, "a:0")
    os.kill(bus.services.server.pid, signal.SIGSTOP)
    began_s = time.monotonic()
    try:
        outcome = publisher.publish(bus.message("a:1"))
        took_s = time.monotonic() - began_s
    finally:
        os.kill(bus.services.server.pid, signal.SIGCONT)
    bus.publish(publisher, "a:1", "a:2")

    assert outcome is PublishOutcome.UNKNOWN
    assert took_s < 2
    assert [d.message_id for d in bus.take(3)] == ["a:0", "a:1", "a:2"]
    assert consumer.duplicates == 1


def test_dead_letters_are_bounded_in_number_and_age(bus, monkeypatch) -> None:
    monkeypatch.setattr("tinyqueue.bus.letter_links.MAX_DEAD_LETTERS", 3)
    consumer = bus.started()
    publisher = bus.publisher()
    for n in range(5):
        bus.publish(publisher, f"a:{n}")
        consumer.settle(bus.take(1)[0], None, set_aside=f"reason {n}")
    assert eventually(lambda: len(bus.committed) == 5)

    with bus.redis() as client:
        assert 0 < client.ttl("tinyqueue.dead") <= 7 * 24 * 3600
    reasons = [headers["reason"] for _, headers in bus.dead_letters()]
    assert reasons == ["reason 2", "reason 3", "reason 4"]
