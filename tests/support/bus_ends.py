"""Both ends of the bus on a real broker, and what a test wants to know and to break."""

from __future__ import annotations

import contextlib
import queue
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import redis
from amqp.exceptions import NotFound

from tinyqueue.bus.broker import Broker
from tinyqueue.bus.consumer import ExperienceConsumer
from tinyqueue.bus.messages import Delivery
from tinyqueue.bus.publisher import ExperiencePublisher, Outgoing, PublishOutcome
from tinyqueue.bus.topology import DEAD_LETTERS
from tinyqueue.errors import MessageError

EXPERIMENT = "cartpole"


def eventually(condition: Callable[[], Any], within_s: float = 10.0) -> Any:
    """The first true value of the condition; the last false one when there is none in time."""
    deadline_s = time.monotonic() + within_s
    while not (value := condition()) and time.monotonic() < deadline_s:
        time.sleep(0.005)
    return value


class Hands:
    """Handles what a consumer receives by two functions.

    Args:
        take: Called with every delivery.
        commit: Called with every group that was settled together.
    """

    def __init__(self, take: Callable[[Delivery], object], commit: Callable[[Any], object]) -> None:
        self._take = take
        self._commit = commit

    def on_delivery(self, delivery: Delivery, settle: Any) -> None:
        self._take(delivery)

    def commit(self, settled: Any) -> None:
        self._commit(settled)

    def refused(self, delivery: Delivery, error: MessageError) -> str:
        return f"refused: {error.reason}"


class Bus:
    """Publishers and consumers of one experiment.

    Args:
        services: The fixture of that name.
    """

    def __init__(self, services: Any) -> None:
        self.services = services
        self.broker = Broker(services.broker_url)
        self.taken: queue.SimpleQueue[Delivery] = queue.SimpleQueue()
        self.committed: list[tuple[str, Any]] = []
        self.learner_lives = True
        self._open: list[ExperiencePublisher | ExperienceConsumer[Any]] = []

    def publisher(self, user: str = "guest", **changes: Any) -> ExperiencePublisher:
        given: dict[str, Any] = {
            "queue_batches": 2,
            "learner_is_alive": lambda _: self.learner_lives,
            **changes,
        }
        publisher = ExperiencePublisher(self.broker, user, **given)
        self._open.append(publisher)
        return publisher

    def consumer(self, **changes: Any) -> ExperienceConsumer[Any]:
        """Not started. Takes into :attr:`taken` and commits into :attr:`committed`."""
        given: dict[str, Any] = {
            "queue_batches": 2,
            "prefetch": 3,
            **changes,
        }
        handler = Hands(given.pop("on_delivery", self.taken.put), given.pop("commit", self.commit))
        consumer = ExperienceConsumer(self.broker, EXPERIMENT, handler, **given)
        self._open.append(consumer)
        return consumer

    def started(self, **changes: Any) -> ExperienceConsumer[Any]:
        consumer = self.consumer(**changes)
        consumer.start()
        return consumer

    def commit(self, group: Any) -> None:
        self.committed.extend((delivery.message_id, mark) for delivery, mark in group)

    def message(self, message_id: str, body: bytes = b"body") -> Outgoing:
        return Outgoing(EXPERIMENT, body, "application/x-test", message_id, "task", {"ticks": 1})

    def publish(self, publisher: ExperiencePublisher, *ids: str) -> None:
        for message_id in ids:
            outcome = publisher.publish_patiently(self.message(message_id), for_s=20)
            assert outcome is PublishOutcome.CONFIRMED

    def take(self, count: int, within_s: float = 10.0) -> list[Delivery]:
        deadline_s = time.monotonic() + within_s
        return [
            self.taken.get(timeout=max(0.01, deadline_s - time.monotonic())) for _ in range(count)
        ]

    def waiting(self, name: str = f"experience.{EXPERIMENT}") -> int:
        """Messages at the broker that nobody has in hand; 0 if there is no such queue."""
        with self.broker.connection() as connection:
            channel: Any = connection.channel()
            if self.broker.kind == "redis":
                with channel.conn_or_acquire() as client:
                    return int(client.llen(name))
            with contextlib.suppress(NotFound):
                return int(channel.queue_declare(name, passive=True).message_count)
            return 0

    def exists(self, name: str) -> bool:
        """Whether RabbitMQ has such a queue."""
        with self.broker.connection() as connection:
            channel: Any = connection.channel()
            with contextlib.suppress(NotFound):
                channel.queue_declare(name, passive=True)
                return True
            return False

    def dead_letters(self) -> list[tuple[bytes, dict[str, Any]]]:
        """Body and headers of everything that was set aside, read in the same way on both."""
        found = []
        with self.broker.connection() as connection:
            channel: Any = connection.default_channel
            while (raw := channel.basic_get(DEAD_LETTERS, no_ack=True)) is not None:
                message = channel.message_to_python(raw)
                body: Any = message.body or b""
                found.append((bytes(body), dict(message.headers)))
        return found

    def cut(self) -> None:
        """Closes every connection to the broker, from its side."""
        if self.broker.kind == "redis":
            with self.redis() as client:
                client.client_kill_filter(_type="normal", skipme=True)
        else:
            vhost = urlsplit(self.services.broker_url).path[1:]
            self.services.node.ctl("close_all_connections", "--vhost", vhost, "cut by a test")

    def redis(self) -> redis.Redis:
        """The database that is the broker."""
        path, _, query = self.services.broker_url.partition("://")[2].partition("?virtual_host=")
        return redis.Redis(unix_socket_path=path, db=int(query or 0))

    def close(self) -> None:
        for end in self._open:
            if isinstance(end, ExperienceConsumer):
                end.stop(timeout_s=5)
            else:
                end.close()


def goes_on(bus: Bus, consumer: Any, name: str, within_s: float = 5.0) -> float:
    """Seconds until an honest message published now has been committed."""
    began_s = time.monotonic()
    bus.publish(bus.publisher(), name)
    deadline_s = began_s + within_s
    while True:
        try:
            (delivery,) = bus.take(1, within_s=max(0.01, deadline_s - time.monotonic()))
        except queue.Empty:
            raise AssertionError(f"{name} has not come") from None
        consumer.settle(delivery, "mark")
        if delivery.message_id == name:
            break
    assert eventually(lambda: (name, "mark") in bus.committed, deadline_s - time.monotonic())
    return time.monotonic() - began_s
