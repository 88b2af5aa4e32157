"""Sending tasks while the broker has an alarm, goes away, or is full."""

from __future__ import annotations

import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from bus_ends import eventually

from tinyqueue.bus import broker as brokers
from tinyqueue.bus import task_connection
from tinyqueue.bus.broker import Broker
from tinyqueue.bus.task_connection import TaskConnection
from tinyqueue.bus.task_sender import TaskSender
from tinyqueue.bus.topology import TASKS_EXCHANGE, task_queues, tasks_exchange
from tinyqueue.celery import make_app
from tinyqueue.errors import ConfigError, ServiceUnreachableError
from tinyqueue.settings import Settings

pytestmark = pytest.mark.integration
# Lists of Redis come with their first task.
ON_RABBITMQ = pytest.mark.parametrize("services", ["rabbitmq"], indirect=True)


class Sender:
    """A sender on a real broker, and what has arrived there."""

    def __init__(self, services: Any, *, declares: bool = True) -> None:
        settings = Settings(broker_url=services.broker_url)
        self.broker = Broker(settings.broker)
        self.connection = TaskConnection(self.broker, task_queues(settings) if declares else ())
        self._sender = TaskSender(
            make_app(settings), self.connection, "play", tasks_exchange(self.broker.kind)
        )

    def send(self, task_id: str) -> bool:
        """Whether it was taken. Fails when that was not known in time."""
        began_s = time.monotonic()
        try:
            self._sender.play(task_id, experiment="e", run="r", spec_version=1, budget_s=2.0)
        except ServiceUnreachableError:
            return False
        finally:
            assert time.monotonic() - began_s < 3.0
        return True

    def delete(self, what: str) -> None:
        """Deletes the play queue, or the exchange of tasks, as an operator may."""
        channel: Any
        with self.broker.connection() as connection, connection.channel() as channel:
            if what == "queue":
                channel.queue_delete("play")
            else:
                channel.exchange_delete(TASKS_EXCHANGE)

    def arrived(self) -> list[str]:
        """Ids of the tasks in the queue, which is empty after that."""
        found = []
        channel: Any
        with self.broker.connection() as connection, connection.channel() as channel:
            while (raw := channel.basic_get("play", no_ack=True)) is not None:
                found.append(channel.message_to_python(raw).headers["id"])
        return found


@pytest.fixture
def sender(services: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sender]:
    monkeypatch.setattr(brokers, "CONNECT_S", 1.0)
    sender = Sender(services)
    yield sender
    sender.connection.close()


@pytest.fixture
def alarm(services: Any) -> Iterator[SimpleNamespace]:
    """A memory alarm of the node: ``raise_`` and ``lower`` it."""
    if services.node is None:
        pytest.skip("the alarm of a broker that is given cannot be raised")

    def watermark(share: str) -> None:
        services.node.ctl("set_vm_memory_high_watermark", share)

    yield SimpleNamespace(raise_=lambda: watermark("0.0001"), lower=lambda: watermark("0.6"))
    watermark("0.6")


@ON_RABBITMQ
@pytest.mark.parametrize("deleted", ["queue", "exchange"])
def test_what_was_deleted_at_the_broker_is_declared_again(sender: Sender, deleted: str) -> None:
    assert sender.send("before")
    sender.delete(deleted)

    assert eventually(lambda: sender.send("after"), within_s=20)

    assert sender.arrived()[-1:] == ["after"]


@ON_RABBITMQ
def test_an_exchange_that_may_not_be_declared_is_named_and_not_asked_for_at_once(
    services: Any,
) -> None:
    sender = Sender(services, declares=False)
    assert sender.send("before")
    sender.delete("exchange")

    with pytest.raises(ConfigError, match=r"no exchange.*declare-queues"):
        sender.send("after")
    # Celery's app declares what it sends to on a new connection, which is not opened yet.
    assert not sender.send("at once")
    sender.connection.close()


@ON_RABBITMQ
def test_a_queue_that_may_not_be_declared_is_named(services: Any) -> None:
    sender = Sender(services, declares=False)
    assert sender.send("before")
    sender.delete("queue")

    with pytest.raises(ConfigError, match=r"no queue 'play'.*declare-queues"):
        sender.send("after")
    sender.connection.close()


def test_tasks_arrive_with_their_ids(sender: Sender) -> None:
    assert [sender.send(f"t{i}") for i in range(3)] == [True] * 3
    assert sender.arrived() == ["t0", "t1", "t2"]


@pytest.mark.parametrize("services", ["rabbitmq"], indirect=True)
@pytest.mark.parametrize("was_open", [True, False], ids=["open", "new"])
def test_under_a_memory_alarm_a_send_fails_in_time_and_feeding_goes_on_after_it(
    sender: Sender, alarm: SimpleNamespace, was_open: bool
) -> None:
    # Given a broker out of memory, and a connection from before, or none
    before = ["before"] if was_open else []
    assert all(sender.send(task) for task in before)
    alarm.raise_()

    # When tasks are sent all the same
    assert not any(sender.send(f"blocked{i}") for i in range(5))

    # Then they go through as soon as the alarm is over, by themselves, and of those of the
    # meantime no more than one has been waiting in the broker's socket
    alarm.lower()
    assert eventually(lambda: sender.send("after"))
    assert sender.send("later")
    found = sender.arrived()
    assert [task for task in found if not task.startswith("blocked")] == [*before, "after", "later"]
    assert sum(task.startswith("blocked") for task in found) <= 1


@pytest.mark.parametrize("services", ["rabbitmq"], indirect=True)
def test_a_blocked_connection_that_stays_silent_is_given_up(
    sender: Sender, alarm: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_connection, "BLOCKED_S", 0.0)
    alarm.raise_()
    assert not any(sender.send(f"blocked{i}") for i in range(2))
    alarm.lower()
    assert eventually(lambda: sender.send("after"))


@pytest.mark.parametrize("services", ["rabbitmq"], indirect=True)
def test_feeding_goes_on_after_a_restart_of_the_broker(sender: Sender, services: Any) -> None:
    if services.node is None:
        pytest.skip("a broker that is given cannot be restarted")
    assert sender.send("before")

    services.node.stop()
    assert not any(sender.send("away") for _ in range(2))
    services.node.start()

    assert eventually(lambda: sender.send("after"))
    assert sender.arrived() == ["before", "after"]


@pytest.mark.parametrize("services", ["rabbitmq"], indirect=True)
def test_a_restart_under_an_alarm_is_noticed(
    sender: Sender, services: Any, alarm: SimpleNamespace
) -> None:
    alarm.raise_()
    assert not any(sender.send(f"blocked{i}") for i in range(2))

    services.node.stop()
    assert not sender.send("away")
    services.node.start()  # The watermark is as configured again.

    assert eventually(lambda: sender.send("after"))


@pytest.mark.parametrize("services", ["embedded"], indirect=True)
def test_feeding_goes_on_after_a_restart_of_redis(sender: Sender, services: Any) -> None:
    assert sender.send("before")
    services.redis.stop()
    assert not sender.send("away")
    services.redis.start()
    assert eventually(lambda: sender.send("after"))
    assert "after" in sender.arrived()
