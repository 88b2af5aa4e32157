"""A learner's queues: replaced, bound anew, deleted or down, and nothing in them is lost."""

from __future__ import annotations

import contextlib
import time
from typing import Any
from urllib.parse import urlsplit

import pytest
from amqp.exceptions import RecoverableConnectionError
from bus_ends import EXPERIMENT, Bus, eventually, goes_on

from tinyqueue.bus.broker import new_channel
from tinyqueue.bus.messages import PublishOutcome
from tinyqueue.bus.rabbitmq_consuming import RabbitmqConsuming
from tinyqueue.bus.rabbitmq_publishing import RabbitmqPublishing
from tinyqueue.bus.rabbitmq_queues import (
    ExperienceQueues,
    QueueDownError,
    State,
    delete_unused,
    look,
)
from tinyqueue.bus.topology import (
    EXPERIENCE_EXCHANGE,
    dead_letter_queue,
    experience_queue,
    kept_queue,
)

pytestmark = pytest.mark.integration

QUEUE = f"experience.{EXPERIMENT}"


def test_the_queues_of_an_ended_run_are_gone(bus) -> None:
    for queue_type in ("classic", "quorum"):
        consumer = bus.started(queue_type=queue_type)
        goes_on(bus, consumer, f"{queue_type}:0")
        consumer.stop(timeout_s=5)

        assert not bus.exists(QUEUE)
        assert not bus.exists(f"{QUEUE}.kept")
        assert bus.publisher().publish(bus.message("a:1")) is PublishOutcome.NO_LEARNER


@pytest.mark.parametrize("queue_type", ["classic", "quorum"])
def test_the_queues_of_a_run_that_left_something_stay(bus, queue_type) -> None:
    consumer = bus.started(queue_type=queue_type)
    bus.publish(bus.publisher(), "a:0", "a:1")
    bus.take(2)
    consumer.stop(timeout_s=5)
    assert bus.waiting() == 2
    publisher = bus.publisher()
    # A quorum queue takes one or two more than it should.
    outcomes = [publisher.publish(bus.message(f"b:{n}")) for n in range(20)]
    assert outcomes.count(PublishOutcome.FULL) > 16

    bus.started(queue_type=queue_type)
    assert {"a:0", "a:1"} == {delivery.message_id for delivery in bus.take(2)}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (("quorum", 8), ("quorum", 3)),
        (("classic", 8), ("quorum", 3)),
        (("quorum", 3), ("classic", 3)),
    ],
    ids=str,
)
def test_queues_of_any_type_are_replaced_and_lose_nothing(bus, before, after) -> None:
    names = [f"a:{n}" for n in range(5)]
    earlier = bus.started(queue_type=before[0], queue_batches=before[1], prefetch=3)
    bus.publish(bus.publisher(), *names)
    bus.take(3)
    earlier.stop(timeout_s=5)

    while not bus.taken.empty():
        bus.taken.get()
    consumer = bus.started(queue_type=after[0], queue_batches=after[1], prefetch=3)
    for count in (3, 2):
        for delivery in bus.take(count):
            consumer.settle(delivery, "mark")
    assert eventually(lambda: sorted(name for name, _ in bus.committed) == names)
    assert eventually(lambda: not bus.exists(QUEUE))
    goes_on(bus, consumer, "b:0")
    if after[0] == "quorum":
        assert eventually(lambda: not bus.exists(f"{QUEUE}.kept"))
    assert consumer.error is None


def test_an_unbounded_queue_of_an_earlier_version_is_emptied_and_deleted(bus) -> None:
    with bus.broker.open() as connection:
        channel = new_channel(connection)
        channel.exchange_declare(EXPERIENCE_EXCHANGE, "topic", durable=True, auto_delete=False)
        arguments = {"x-single-active-consumer": True}
        kept = f"{QUEUE}.kept"
        channel.queue_declare(kept, durable=True, auto_delete=False, arguments=arguments)
        channel.queue_bind(kept, EXPERIENCE_EXCHANGE, f".kept.{EXPERIMENT}")
        link = RabbitmqPublishing(bus.broker)
        for n in range(3):
            link.publish(
                b"body",
                exchange=EXPERIENCE_EXCHANGE,
                routing_key=f".kept.{EXPERIMENT}",
                timeout_s=5,
                message_id=f"a:{n}",
            )
        link.close()

    consumer = bus.started(prefetch=3)
    for delivery in bus.take(3):
        consumer.settle(delivery, "mark")

    assert eventually(lambda: not bus.exists(kept))
    with bus.broker.open() as connection:
        assert look(connection, f"{kept}.next") == State(0, 1)


def bindings(bus: Bus) -> list[str]:
    """The routing keys by which queues are bound to the exchange to which players publish."""
    vhost = urlsplit(bus.services.broker_url).path.lstrip("/")
    told = bus.services.node.ctl("list_bindings", "-p", vhost, "source_name", "routing_key")
    rows = [line.split("\t") for line in told.splitlines()]
    return [row[1] for row in rows if row[0] == EXPERIENCE_EXCHANGE]


@pytest.mark.parametrize("held", [0, 3])
def test_queues_that_players_could_reach_by_other_keys_are_bound_anew(bus, send, held) -> None:
    """An earlier version dead-lettered through the exchange to which players publish."""
    kept = kept_queue(EXPERIMENT, 2, 3)
    with bus.broker.open() as connection:
        channel = new_channel(connection)
        kept(channel).declare()
        channel.exchange_declare(EXPERIENCE_EXCHANGE, "topic", durable=True, auto_delete=False)
        channel.queue_bind(kept.name, EXPERIENCE_EXCHANGE, f".kept.{EXPERIMENT}")
        arguments = experience_queue(EXPERIMENT, 2).queue_arguments or {}
        arguments |= {
            "x-max-length": 8,
            "x-dead-letter-exchange": EXPERIENCE_EXCHANGE,
            "x-dead-letter-routing-key": f".kept.{EXPERIMENT}",
        }
        channel.queue_declare(QUEUE, durable=True, auto_delete=False, arguments=arguments)
        channel.queue_bind(QUEUE, EXPERIENCE_EXCHANGE, f"{EXPERIMENT}.#")
        for n in range(held):
            send(f"a:{n}")
        if held:
            # As a restart does: by the binding of that version, while messages are left.
            send("a:dropped", expiration="0")

        consumer = bus.started()
        for delivery in bus.take(held):
            consumer.settle(delivery, "mark")
        assert eventually(lambda: look(connection, QUEUE) is None)
        # Undone as soon as the queue is deleted, but after that.
        assert eventually(lambda: f".kept.{EXPERIMENT}" not in bindings(bus))
        send("b:0", {"CC": [f".kept.{EXPERIMENT}"]})
        bus.take(1)
        assert bus.taken.empty()
        assert look(connection, kept.name) == State(0, 1)
        if held:
            assert ("a:dropped", "refused: expiration") in bus.committed
    assert consumer.error is None
    assert consumer.duplicates == 0


def test_a_queue_that_another_learner_consumes_is_asked_for_seldom(bus, monkeypatch) -> None:
    with bus.broker.open() as connection:
        channel = new_channel(connection)
        experience_queue(EXPERIMENT, 8)(channel).declare()
        other = channel.basic_consume(QUEUE, callback=lambda _: None)
        link = RabbitmqConsuming(
            bus.broker, EXPERIMENT, queue_batches=2, prefetch=3, queue_type="classic", declare=True
        )
        tries: list[str] = []
        retire = ExperienceQueues.retire

        def count(queues: ExperienceQueues, queue: Any) -> bool:
            tries.append(queue.name)
            return retire(queues, queue)

        monkeypatch.setattr(ExperienceQueues, "retire", count)
        with contextlib.closing(link):
            for _ in range(50):
                link.tick()
            assert tries == [QUEUE]
            assert len(link._in_hand) == 3
            # It is consumed all the same, and deleted once it is free.
            channel.basic_cancel(other)
            monkeypatch.setattr(link, "_retire_again_s", 0.0)
            link.tick()
            assert look(connection, QUEUE) is None
            assert len(link._in_hand) == 2


def test_trouble_while_a_queue_is_deleted_does_not_cost_the_connection(bus, monkeypatch) -> None:
    def fail(*_: object, **__: object) -> bool:
        raise RecoverableConnectionError("closed by its broker")

    monkeypatch.setattr("tinyqueue.bus.rabbitmq_consuming.LOOK_AGAIN_S", 0.5)
    with bus.broker.open() as connection:
        experience_queue(EXPERIMENT, 8)(new_channel(connection)).declare()
        bus.publish(bus.publisher(), "a:0")
        consumer = bus.started()
        with monkeypatch.context() as at_first:
            at_first.setattr("tinyqueue.bus.rabbitmq_queues.delete_unused", fail)
            consumer.settle(bus.take(1)[0], "mark")
            goes_on(bus, consumer, "a:1")
            time.sleep(2.0)
        assert eventually(lambda: look(connection, QUEUE) is None)
    assert consumer.links == 1


def test_a_queue_that_is_deleted_before_it_is_consumed_is_declared_again(bus, monkeypatch) -> None:
    declare, calls = ExperienceQueues.declare, []

    def declare_and_lose(queues: ExperienceQueues) -> None:
        declare(queues)
        calls.append(queues.main)
        if len(calls) == 1:  # by a learner that this one replaces, and that ends now
            assert delete_unused(bus.broker, queues.main, is_bound=True)

    monkeypatch.setattr(ExperienceQueues, "declare", declare_and_lose)
    consumer = bus.started()

    goes_on(bus, consumer, "a:0")
    assert len(calls) == 2


def test_a_quorum_queue_needs_no_queue_of_what_a_restart_drops(bus) -> None:
    bus.started(queue_type="quorum")

    assert bus.exists(QUEUE)
    assert not bus.exists(f"{QUEUE}.kept")


class DownNode:
    """Makes one queue look as RabbitMQ 3 has it while the queue's node is down."""

    def __init__(self, bus: Bus, queue_name: str) -> None:
        vhost = urlsplit(bus.services.broker_url).path[1:]
        name = f'{{resource, <<"{vhost}">>, queue, <<"{queue_name}">>}}'
        self._eval = bus.services.node.eval
        self._kept = f"[Q] = mnesia:dirty_read(rabbit_queue, {name}), persistent_term:put(tq, Q)."
        self._down = f"mnesia:dirty_delete(rabbit_queue, {name})."
        self._up = "mnesia:dirty_write(rabbit_queue, persistent_term:get(tq))."

    def __enter__(self) -> DownNode:
        self._eval(self._kept)
        self._eval(self._down)
        return self

    def up(self) -> None:
        self._eval(self._up)

    def __exit__(self, *_: object) -> None:
        self.up()


@pytest.mark.parametrize("queue_type", ["classic", "quorum"])
@pytest.mark.parametrize("declare", [True, False])
def test_a_learner_goes_on_while_the_node_of_what_a_restart_drops_is_down(
    bus, monkeypatch, queue_type, declare
) -> None:
    monkeypatch.setattr("tinyqueue.bus.rabbitmq_consuming.LOOK_AGAIN_S", 0.5)
    kept = f"{QUEUE}.kept"
    with bus.broker.open() as connection:
        kept_queue(EXPERIMENT, 2, 3)(new_channel(connection)).declare()
        experience_queue(EXPERIMENT, 2, queue_type)(new_channel(connection)).declare()
        dead_letter_queue()(new_channel(connection)).declare()
    with DownNode(bus, kept) as node:
        with pytest.raises(QueueDownError), bus.broker.open() as connection:
            look(connection, kept)

        consumer = bus.started(queue_type=queue_type, declare=declare)
        goes_on(bus, consumer, "a:0")
        node.up()
        if declare and queue_type == "classic":
            with bus.broker.open() as connection:
                assert eventually(lambda: look(connection, kept) == State(0, 1))
        goes_on(bus, consumer, "a:1")
    assert consumer.error is None


def test_a_learner_goes_on_while_the_node_of_the_dead_letters_is_down(bus, monkeypatch) -> None:
    monkeypatch.setattr("tinyqueue.bus.dead_letters.RETRY_S", 0.2)
    monkeypatch.setattr("tinyqueue.bus.dead_letters.PATIENCE_S", 2.0)
    consumer = bus.started(prefetch=2)
    publisher = bus.publisher()
    with bus.broker.open() as connection:
        dead_letter_queue()(new_channel(connection)).declare()
    with DownNode(bus, "tinyqueue.dead"):
        bus.publish(publisher, "bad:0", "bad:1")
        for delivery in bus.take(2):
            consumer.settle(delivery, "mark", set_aside="shape")
        # It has room for no other message before these have their fate.
        goes_on(bus, consumer, "a:0", within_s=15)
        assert consumer.letters_dropped == 2
    assert consumer.error is None

    time.sleep(0.5)  # until the next letter is tried
    bus.publish(publisher, "bad:2")
    (delivery,) = bus.take(1)
    consumer.settle(delivery, "mark", set_aside="shape")
    assert eventually(lambda: bus.waiting("tinyqueue.dead") == 1)
