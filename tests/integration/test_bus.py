"""What publisher and consumer promise on both brokers."""

from __future__ import annotations

import queue
import statistics
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from bus_ends import Bus, eventually

from tinyqueue.bus import publisher as publisher_module
from tinyqueue.bus import rabbitmq_consuming
from tinyqueue.bus.broker import Broker
from tinyqueue.bus.publisher import ExperiencePublisher, PublishOutcome
from tinyqueue.bus.rabbitmq_publishing import RabbitmqExperience
from tinyqueue.bus.redis_publishing import RedisPublishing
from tinyqueue.bus.topology import EXPERIENCE_EXCHANGE
from tinyqueue.errors import ServiceUnreachableError

pytestmark = pytest.mark.integration


@pytest.fixture
def bus(services) -> Iterator[Bus]:
    both_ends = Bus(services)
    yield both_ends
    both_ends.close()


def test_a_confirmed_message_arrives_whole(bus) -> None:
    bus.started()
    body = bytes(range(256)) * 1200  # three frames of AMQP

    outcome = bus.publisher().publish(bus.message("stage:0", body))

    (delivery,) = bus.take(1)
    assert outcome is PublishOutcome.CONFIRMED
    assert delivery.body == body
    assert delivery.headers == {"ticks": 1}
    assert delivery.message_id == "stage:0"
    assert delivery.content_type == "application/x-test"
    assert delivery.correlation_id == "task"
    assert not delivery.redelivered


def test_without_a_learner_nothing_is_stored(bus) -> None:
    bus.learner_lives = False

    assert bus.publisher().publish(bus.message("stage:0")) is PublishOutcome.NO_LEARNER

    bus.started()
    with pytest.raises(queue.Empty):
        bus.take(1, within_s=0.3)


def test_an_unroutable_publish_lends_its_answer_to_no_other(bus) -> None:
    """RabbitMQ acks an unroutable message too; that ack must not count for a refused one."""
    publisher = bus.publisher()
    bus.learner_lives = False
    for n in range(20):
        assert publisher.publish(bus.message(f"lost:{n}")) is PublishOutcome.NO_LEARNER
    bus.learner_lives = True
    bus.started(prefetch=2, queue_batches=1)

    outcomes = [publisher.publish(bus.message(f"stage:{n}")) for n in range(20)]

    confirmed = outcomes.count(PublishOutcome.CONFIRMED)
    assert set(outcomes) == {PublishOutcome.CONFIRMED, PublishOutcome.FULL}
    assert confirmed == 2 + bus.waiting()


def test_a_full_queue_refuses_until_there_is_room(bus) -> None:
    consumer = bus.started(queue_batches=2, prefetch=3)
    publisher = bus.publisher()
    bus.publish(publisher, "a:0", "a:1", "a:2")
    first, *_ = bus.take(3)
    bus.publish(publisher, "a:3", "a:4")

    assert publisher.publish(bus.message("a:5")) is PublishOutcome.FULL
    assert eventually(lambda: consumer.ready == 2)

    consumer.settle(first, "mark")
    bus.take(1)
    assert publisher.publish(bus.message("a:5")) is PublishOutcome.CONFIRMED


BODY = bytes(100_000)


@pytest.fixture
def full(bus):
    """A publisher that has been refused, since two messages wait, and their learner's end."""
    consumer = bus.started(queue_batches=2, prefetch=3)
    publisher = bus.publisher()
    bus.publish(publisher, *(f"a:{n}" for n in range(5)))
    assert publisher.publish(bus.message("a:5", BODY)).is_full
    return publisher, consumer


def test_after_a_refusal_a_large_body_is_only_sent_when_there_is_room(bus, full) -> None:
    publisher, consumer = full
    assert eventually(lambda: consumer.ready == 2)

    outcomes = {publisher.publish(bus.message("a:5", BODY)) for _ in range(20)}
    small = publisher.publish(bus.message("a:6"))

    assert outcomes == {PublishOutcome.NO_ROOM}
    assert small is PublishOutcome.FULL

    consumer.settle(bus.take(3)[0], "mark")
    assert eventually(lambda: consumer.ready == 1)
    assert publisher.publish(bus.message("a:5", BODY)) is PublishOutcome.CONFIRMED
    assert publisher.publish(bus.message("a:6", BODY)) is PublishOutcome.NO_ROOM


def test_a_body_is_sent_now_and_then_whatever_the_broker_answers(bus, full, monkeypatch) -> None:
    publisher, _ = full
    monkeypatch.setattr(publisher_module, "SEND_S", 0.2)

    outcomes = []

    def both() -> bool:
        outcomes.append(publisher.publish(bus.message("a:5", BODY)))
        counts = Counter(outcomes)
        return min(counts[PublishOutcome.FULL], counts[PublishOutcome.NO_ROOM]) >= 2

    assert eventually(both, within_s=30)
    assert set(outcomes) == {PublishOutcome.FULL, PublishOutcome.NO_ROOM}


def test_a_broker_that_does_not_answer_the_question_is_asked_again_after_a_while(
    bus, full, monkeypatch
) -> None:
    publisher, _ = full
    asked = []

    def unknown(*given: object) -> None:
        asked.append(given)

    monkeypatch.setattr(RabbitmqExperience, "waiting", unknown)
    monkeypatch.setattr(RedisPublishing, "waiting", unknown)

    outcomes = {publisher.publish(bus.message("a:5", BODY)) for _ in range(5)}

    assert outcomes == {PublishOutcome.FULL}
    assert len(asked) == 1

    monkeypatch.setattr(publisher, "_ask_from_s", time.monotonic() + 0.2)
    assert eventually(lambda: publisher.publish(bus.message("a:5", BODY)).is_full and asked[1:])


@pytest.mark.parametrize("services", ["rabbitmq"], indirect=True)
def test_an_exchange_that_was_deleted_is_declared_and_bound_again(bus, monkeypatch) -> None:
    monkeypatch.setattr(rabbitmq_consuming, "EXCHANGE_S", 0.2)
    bus.started()
    publisher = bus.publisher()
    assert publisher.publish(bus.message("a:0")) is PublishOutcome.CONFIRMED

    channel: Any
    with bus.broker.connection() as connection, connection.channel() as channel:
        channel.exchange_delete(EXPERIENCE_EXCHANGE)

    def is_published() -> bool:
        return publisher.publish(bus.message("a:1")) is PublishOutcome.CONFIRMED

    assert eventually(is_published, within_s=20)


def test_settling_from_another_thread_commits_then_acks_within_milliseconds(bus) -> None:
    settled_s: dict[str, float] = {}
    took_s: list[float] = []

    def commit(group) -> None:
        now_s = time.perf_counter()
        took_s.extend(now_s - settled_s[delivery.message_id] for delivery, _ in group)
        bus.commit(group)

    consumer = bus.started(commit=commit)
    publisher = bus.publisher()

    def train() -> None:
        for _ in range(100):
            (delivery,) = bus.take(1)
            settled_s[delivery.message_id] = time.perf_counter()
            consumer.settle(delivery, f"mark of {delivery.message_id}")

    trainer = threading.Thread(target=train)
    trainer.start()
    bus.publish(publisher, *(f"a:{n}" for n in range(100)))
    trainer.join()

    assert eventually(lambda: len(bus.committed) == 100)
    assert bus.committed[7] == ("a:7", "mark of a:7")
    assert statistics.median(took_s) < 0.002
    consumer.stop(timeout_s=5)
    assert consumer.error is None
    assert bus.waiting() == 0  # all of them were acked


def test_when_commit_fails_nothing_is_acked(bus) -> None:
    def commit(_group) -> None:
        raise OSError("the disk is full")

    consumer = bus.started(commit=commit)
    bus.publish(bus.publisher(), "a:0", "a:1")
    consumer.settle(bus.take(2)[0], "mark")
    assert eventually(lambda: consumer.error)

    assert str(consumer.error) == "the disk is full"
    assert eventually(lambda: bus.waiting() == 2)
    bus.started()
    again = bus.take(2)
    assert sorted(d.message_id for d in again) == ["a:0", "a:1"]
    assert bus.broker.kind == "redis" or all(d.redelivered for d in again)


def test_an_error_of_on_delivery_costs_its_message_and_the_consumer_goes_on(bus) -> None:
    def on_delivery(delivery) -> None:
        if delivery.message_id == "a:0":
            raise KeyError("a bug")
        bus.taken.put(delivery)

    consumer = bus.started(on_delivery=on_delivery)
    bus.publish(bus.publisher(), "a:0", "a:1")
    consumer.settle(bus.take(1)[0], "mark")

    assert eventually(lambda: len(bus.committed) == 2)
    consumer.stop(timeout_s=5)
    assert consumer.error is None
    assert dict(bus.committed) == {"a:0": "refused: error", "a:1": "mark"}
    assert [headers["reason"] for _, headers in bus.dead_letters()] == ["error"]
    assert bus.waiting() == 0


def test_a_message_set_aside_is_kept_with_its_reason(bus) -> None:
    consumer = bus.started()
    bus.publish(bus.publisher(), "a:0", "a:1")
    bad, good = bus.take(2)

    consumer.settle(bad, "bad mark", set_aside="not-finite")
    consumer.settle(good, "good mark")

    assert eventually(lambda: len(bus.committed) == 2)
    assert sorted(bus.committed) == [("a:0", "bad mark"), ("a:1", "good mark")]
    consumer.stop(timeout_s=5)
    ((body, headers),) = bus.dead_letters()
    assert body == b"body"
    login = "guest" if bus.broker.kind == "rabbitmq" else ""
    own = {"reason": "not-finite", "experiment": "cartpole", "login": login}
    assert headers == {"ticks": 1, **own}
    assert bus.waiting() == 0


def test_a_message_published_twice_is_handed_over_once(bus) -> None:
    consumer = bus.started()
    publisher = bus.publisher()

    bus.publish(publisher, "a:0", "a:0", "a:1")

    assert [d.message_id for d in bus.take(2)] == ["a:0", "a:1"]
    assert consumer.duplicates == 1
    consumer.stop(timeout_s=5)
    assert bus.waiting() == 2  # the two in hand came back; the copy did not


def test_a_broker_that_is_not_there_is_unknown_to_a_player_and_an_error_to_a_learner(bus) -> None:
    gone = {"rabbitmq": "amqp://guest:secret@127.0.0.1:1//", "embedded": "redis+socket:///nowhere"}
    broker = Broker(gone[bus.services.kind])
    bus.broker = broker
    publisher = ExperiencePublisher(
        broker, "guest", queue_batches=2, learner_is_alive=lambda _: True
    )

    assert publisher.publish(bus.message("a:0")) is PublishOutcome.UNKNOWN
    with pytest.raises(ServiceUnreachableError) as caught:
        bus.started()
    assert "secret" not in str(caught.value)
