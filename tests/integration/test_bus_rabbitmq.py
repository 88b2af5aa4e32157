"""Faults and limits that only RabbitMQ has."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from struct import pack

import pytest
from bus_ends import EXPERIMENT, Bus, eventually

from tinyqueue.bus import rabbitmq_consuming
from tinyqueue.bus.messages import Delivery
from tinyqueue.bus.publisher import PublishOutcome
from tinyqueue.bus.topology import (
    EXPERIENCE_EXCHANGE,
    dead_letter_queue,
    experience_queue,
    kept_queue,
)
from tinyqueue.errors import ConfigError

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
QUEUE = f"experience.{EXPERIMENT}"
ALARM = "{{resource_limit, memory, node()}, []}"


@pytest.fixture
def alarm(bus) -> Iterator[None]:
    bus.services.node.eval(f"rabbit_alarm:set_alarm({ALARM}).")
    yield
    bus.services.node.eval("rabbit_alarm:clear_alarm({resource_limit, memory, node()}).")


def test_a_memory_alarm_makes_a_publish_unknown_in_time_and_acks_go_on(bus, alarm) -> None:
    consumer = bus.started()
    publisher = bus.publisher(confirm_timeout_s=0.5)
    began_s = time.monotonic()

    outcomes = [publisher.publish(bus.message("a:0", bytes(2_000_000))) for _ in range(2)]

    assert outcomes == [PublishOutcome.UNKNOWN, PublishOutcome.UNKNOWN]
    assert time.monotonic() - began_s < 2.0
    assert eventually(lambda: consumer.ready == 0)
    assert consumer.error is None

    bus.services.node.eval("rabbit_alarm:clear_alarm({resource_limit, memory, node()}).")
    bus.publish(publisher, "a:0")
    consumer.settle(bus.take(1)[0], "mark")
    assert eventually(lambda: bus.committed == [("a:0", "mark")])


def test_under_a_memory_alarm_other_batches_are_acked_and_set_asides_wait(bus, monkeypatch) -> None:
    monkeypatch.setattr("tinyqueue.bus.letter_links.CONFIRM_S", 0.2)
    monkeypatch.setattr("tinyqueue.bus.dead_letters.RETRY_S", 0.2)
    consumer = bus.started()
    bus.publish(bus.publisher(), "a:0", "a:1")
    bad, good = bus.take(2)
    bus.services.node.eval(f"rabbit_alarm:set_alarm({ALARM}).")
    try:
        consumer.settle(bad, "bad", set_aside="reward")
        consumer.settle(good, "good")

        assert eventually(lambda: bus.committed == [("a:1", "good")], within_s=4)
    finally:
        bus.services.node.eval("rabbit_alarm:clear_alarm({resource_limit, memory, node()}).")
    assert eventually(lambda: len(bus.committed) == 2)
    consumer.stop(timeout_s=5)
    assert [headers["reason"] for _, headers in bus.dead_letters()][-1] == "reward"


def test_a_queue_with_other_arguments_is_emptied_then_deleted_and_loses_nothing(bus) -> None:
    earlier = bus.started(queue_batches=8)
    bus.publish(bus.publisher(), *(f"a:{n}" for n in range(6)))
    earlier.stop(timeout_s=5)
    while not bus.taken.empty():
        bus.taken.get()

    consumer = bus.started(queue_batches=3, prefetch=4)
    bus.publish(bus.publisher(), "b:0")
    for _ in range(7):
        consumer.settle(bus.take(1)[0], "mark")

    names = {f"a:{n}" for n in range(6)} | {"b:0"}
    assert eventually(lambda: {name for name, _ in bus.committed} == names)
    assert eventually(lambda: not bus.exists(QUEUE))
    assert bus.waiting(f"{QUEUE}.next") == 0
    consumer.stop(timeout_s=5)
    assert consumer.error is None

    bus.started(queue_batches=3, prefetch=1)
    bus.publish(bus.publisher(), "c:0", "c:1")
    assert bus.waiting(QUEUE) == 1
    assert not bus.exists(f"{QUEUE}.next")


def test_an_empty_queue_with_other_arguments_is_replaced_by_the_next_but_one(bus) -> None:
    for limit in (8, 3, 5):
        bus.started(queue_batches=limit).stop(timeout_s=5)

    bus.started(queue_batches=5, prefetch=1)
    bus.publish(bus.publisher(), *(f"a:{n}" for n in range(6)))
    assert bus.publisher().publish(bus.message("a:6")) is PublishOutcome.FULL


def test_two_queues_that_hold_messages_under_other_arguments_are_an_error(bus) -> None:
    with bus.broker.connection() as connection:
        for successor in (False, True):
            experience_queue(EXPERIMENT, 9, successor=successor)(connection.channel()).declare()
    bus.publish(bus.publisher(), "a:0")  # into both

    with pytest.raises(ConfigError, match="queue_batches"):
        bus.started(queue_batches=2)
    assert bus.waiting(QUEUE) == 1


def test_a_quorum_queue_does_the_same(bus) -> None:
    consumer = bus.started(queue_type="quorum")
    bus.publish(bus.publisher(), "a:0")

    consumer.settle(bus.take(1)[0], "mark", set_aside="type")

    assert eventually(lambda: bus.committed == [("a:0", "mark")])


@pytest.mark.parametrize("queue_type", ["classic", "quorum"])
def test_a_restart_loses_nothing_though_more_was_unacked_than_the_queue_may_hold(
    bus, queue_type
) -> None:
    consumer = bus.started(queue_type=queue_type, queue_batches=2, prefetch=3)
    names = [f"a:{n}" for n in range(5)]
    bus.publish(bus.publisher(), *names)
    bus.take(3)

    bus.services.node.stop()
    consumer.stop(timeout_s=5)
    bus.services.node.start()

    bus.started(queue_type=queue_type, queue_batches=2, prefetch=5)
    assert sorted(delivery.message_id for delivery in bus.take(5)) == names


def test_a_learner_that_may_not_declare_uses_what_is_there(bus) -> None:
    with bus.broker.connection() as connection:
        for queue in (
            kept_queue(EXPERIMENT, 2, 3),
            experience_queue(EXPERIMENT, 2),
            dead_letter_queue(),
        ):
            queue(connection.channel()).declare()

    consumer = bus.started(declare=False)
    bus.publish(bus.publisher(), "a:0", "a:1")
    consumer.settle(bus.take(1)[0], "mark", set_aside="type")
    consumer.settle(bus.take(1)[0], "mark")

    assert eventually(lambda: len(bus.committed) == 2)
    assert len(bus.dead_letters()) == 1


def test_a_queue_of_dead_letters_that_is_deleted_ends_no_learner(bus, monkeypatch) -> None:
    monkeypatch.setattr("tinyqueue.bus.dead_letters.RETRY_S", 0.2)
    monkeypatch.setattr("tinyqueue.bus.dead_letters.PATIENCE_S", 2.0)
    assert declare_queues(bus, f"{EXPERIMENT}:2").returncode == 0
    consumer = bus.started(declare=False, prefetch=2)
    with bus.broker.connection() as connection:
        connection.channel().queue_delete("tinyqueue.dead")
    bus.publish(bus.publisher(), "bad:0", "bad:1", "a:0")
    for _ in range(2):
        consumer.settle(bus.take(1)[0], "mark", set_aside="type")

    # It has room for no other message before these have their fate.
    consumer.settle(bus.take(1, within_s=15)[0], "mark")
    assert eventually(lambda: ("a:0", "mark") in bus.committed)
    assert consumer.letters_dropped == 2
    assert consumer.error is None


@pytest.mark.parametrize(
    ("there", "missing"),
    [
        ((), QUEUE),
        ((experience_queue(EXPERIMENT, 2),), f"{QUEUE}.kept"),
        ((experience_queue(EXPERIMENT, 2), kept_queue(EXPERIMENT, 2, 3)), "tinyqueue.dead"),
    ],
)
def test_a_queue_that_a_learner_may_not_declare_is_named_when_it_is_not_there(
    bus, there, missing
) -> None:
    with bus.broker.connection() as connection:
        for queue in there:
            queue(connection.channel()).declare()

    with pytest.raises(ConfigError) as refusal:
        bus.started(declare=False)

    said = str(refusal.value)
    assert f"no queue '{missing}'" in said
    assert "scripts/declare-queues.py" in said
    assert "TINYQUEUE_DECLARE=1" in said


def test_an_exchange_that_a_learner_may_not_declare_is_named_while_it_is_gone(
    bus, monkeypatch
) -> None:
    monkeypatch.setattr(rabbitmq_consuming, "EXCHANGE_S", 0.2)
    declare_queues(bus, f"{EXPERIMENT}:2:2")
    consumer = bus.started(declare=False, prefetch=3)
    with bus.broker.connection() as connection:
        connection.channel().exchange_delete(EXPERIENCE_EXCHANGE)

    assert eventually(lambda: "no exchange 'experience'" in consumer.trouble, within_s=15)

    declare_queues(bus, f"{EXPERIMENT}:2:2")
    assert eventually(lambda: not consumer.trouble, within_s=15)
    bus.publish(bus.publisher(), "a:0")
    assert bus.take(1)


def declare_queues(bus: Bus, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Runs the operator's script."""
    return subprocess.run(
        [sys.executable, ROOT / "scripts/declare-queues.py", *words],
        env={**os.environ, "TINYQUEUE_BROKER_URL": bus.services.broker_url, **settings},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("queue_type", ["classic", "quorum"])
def test_a_learner_that_may_not_declare_lives_on_what_the_script_declares(bus, queue_type) -> None:
    made = declare_queues(bus, f"{EXPERIMENT}:2:2", "other:5", TINYQUEUE_QUEUE_TYPE=queue_type)
    assert made.returncode == 0, made.stderr

    consumer = bus.started(declare=False, queue_type=queue_type)
    bus.publish(bus.publisher(), "a:0", "a:1")
    consumer.settle(bus.take(1)[0], "mark", set_aside="type")
    consumer.settle(bus.take(1)[0], "mark")

    assert eventually(lambda: len(bus.committed) == 2)
    assert len(bus.dead_letters()) == 1
    assert bus.waiting("experience.other") == bus.waiting("experience.other.kept") == 0
    consumer.stop(timeout_s=5)
    # A learner that does declare finds its own arguments.
    bus.started(queue_type=queue_type)
    assert not bus.exists(f"{QUEUE}.next")


def test_the_script_says_what_it_cannot_declare(bus) -> None:
    assert declare_queues(bus, f"{EXPERIMENT}:2").returncode == 0

    other = declare_queues(bus, f"{EXPERIMENT}:3")

    assert other.returncode == 1
    assert other.stderr.startswith(f"error: {QUEUE}.kept exists with other arguments")
    assert f"delete_queue {QUEUE}.kept --if-empty" in other.stderr
    assert "Traceback" not in other.stderr
    for word in (EXPERIMENT, f"{EXPERIMENT}:0", f"{EXPERIMENT}:two", "Cart Pole:2"):
        refused = declare_queues(bus, word)
        assert refused.returncode == 2
        assert "EXPERIMENT:QUEUE_BATCHES" in refused.stderr


def test_publishing_as_someone_else_is_an_error_of_configuration(bus) -> None:
    bus.started()

    with pytest.raises(ConfigError, match="TINYQUEUE_USER"):
        bus.publisher(user="mallory").publish(bus.message("a:0"))


def test_a_second_learner_gets_nothing_until_the_first_has_gone(bus) -> None:
    first = bus.started()
    second_took: list[str] = []
    bus.started(on_delivery=lambda delivery: second_took.append(delivery.message_id))
    bus.publish(bus.publisher(), "a:0", "a:1")
    bus.take(2)

    assert second_took == []
    first.stop(timeout_s=5)
    assert eventually(lambda: sorted(second_took) == ["a:0", "a:1"])


def table(*items: bytes) -> bytes:
    content = b"".join(items)
    return pack(">I", len(content)) + content


def nested(levels: int) -> bytes:
    content = table()
    for _ in range(levels):
        content = table(b"\x01kF" + content)
    return content


MESSAGE_ID, HEADERS = 0x0080, 0x2000


@pytest.mark.parametrize(
    ("flags", "properties"),
    [
        pytest.param(MESSAGE_ID, b"\x02\xff\xfe", id="message id that is not UTF-8"),
        pytest.param(HEADERS, table(b"\x01kT" + pack(">Q", 2**62)), id="date beyond all years"),
        pytest.param(HEADERS, nested(2000), id="deeply nested tables"),
    ],
)
def test_properties_that_cannot_be_decoded_do_not_end_the_learner(bus, flags, properties) -> None:
    consumer = bus.started()
    with bus.broker.connection() as connection:
        channel = connection.channel()
        message = channel.prepare_message(b"poison")
        message._serialize_properties = lambda: pack(">H", flags) + properties
        channel.basic_publish(message, EXPERIENCE_EXCHANGE, f"{EXPERIMENT}.guest")
        bus.publish(bus.publisher(), "a:0")

    poison, good = poison_first(bus.take(2))
    consumer.settle(poison, "poison", set_aside="type")
    consumer.settle(good, "good")

    assert poison.body == b"poison"
    assert eventually(lambda: len(bus.committed) == 2)
    assert consumer.error is None


def poison_first(taken: list[Delivery]) -> list[Delivery]:
    """What two connections publish comes in any order."""
    return sorted(taken, key=lambda delivery: delivery.body != b"poison")


def test_a_routing_key_and_a_compression_header_are_only_bytes(bus) -> None:
    consumer = bus.started()
    with bus.broker.connection() as connection:
        channel = connection.channel()
        message = channel.prepare_message(b"poison", headers={"compression": "application/x-gzip"})
        key = f"{EXPERIMENT}.\udcff".encode("utf-8", "surrogateescape")
        channel.basic_publish(message, EXPERIENCE_EXCHANGE, key)
        bus.publish(bus.publisher(), "a:0")

    poison, good = poison_first(bus.take(2))
    for delivery in (poison, good):
        consumer.settle(delivery, None)

    assert poison.body == b"poison"
    assert eventually(lambda: len(bus.committed) == 2)
    assert eventually(lambda: consumer.ready == 0)
