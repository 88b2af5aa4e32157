"""A second reader of an experiment's messages, which takes none of them from the learner.

It has an exclusive queue of its own at the experience exchange, which RabbitMQ deletes with its
connection. The queue drops its oldest message rather than refuse one, so a slow reader holds back
nobody. It is bound only while the learner's queue exists: otherwise it alone would confirm to
players what no learner will ever take.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import structlog
from amqp.exceptions import AccessRefused, NotFound

from tinyqueue.bus.amqp_frames import FrameReader
from tinyqueue.bus.backoff import Reconnects
from tinyqueue.bus.broker import CONSUMER_HEARTBEAT_S, Broker, drop, new_channel
from tinyqueue.bus.messages import Delivery
from tinyqueue.bus.rabbitmq_consuming import delivery_of
from tinyqueue.bus.topology import EXPERIENCE_EXCHANGE, experience_copy_queue, experience_queue
from tinyqueue.errors import ConfigError, ServiceUnreachableError

_LOOK_S = 1.0
"""Between two looks for the learner's queue, during which players may confirm to a copy alone."""
_PREFETCH = 4

log = structlog.get_logger(__name__)


class ExperienceCopy:
    """Receives a copy of every message for an experiment's learner, in a thread of its own.

    Args:
        broker: RabbitMQ.
        experiment: The experiment.
        most_messages: Messages that wait here; the oldest are dropped for newer ones.

    Attributes:
        dropped: Messages dropped here because nobody took them.

    Raises:
        ConfigError: The broker is Redis, or the login may not read the exchange.
        ServiceUnreachableError: The broker does not answer.
    """

    def __init__(self, broker: Broker, experiment: str, most_messages: int) -> None:
        if broker.kind != "rabbitmq":
            raise ConfigError(
                f"the broker at {broker.masked_url} gives every message to one reader, the "
                "learner, so there is no second one. Use RabbitMQ, or read what the learner has "
                "recorded: tinyqueue.datasets.SessionLog(RUN)."
            )
        self._broker, self._experiment, self._most = broker, experiment, most_messages
        self._waiting: deque[Delivery] = deque()
        self._news = threading.Condition()
        self._closing = False
        self.dropped = 0
        self._link = _Link(broker, experiment, most_messages, self._receive)
        self._thread = threading.Thread(target=self._run, name="experience copy", daemon=True)
        self._thread.start()

    def take(self, timeout_s: float) -> Delivery | None:
        """The oldest message that waits; None if none came in time."""
        with self._news:
            self._news.wait_for(lambda: self._waiting or self._closing, timeout_s)
            return self._waiting.popleft() if self._waiting else None

    def close(self) -> None:
        """Ends the thread and the connection; RabbitMQ deletes the queue."""
        with self._news:
            self._closing = True
            self._news.notify_all()
        self._thread.join(timeout=10.0)

    def _receive(self, delivery: Delivery) -> None:
        with self._news:
            if len(self._waiting) >= self._most:
                self._waiting.popleft()
                self.dropped += 1
            self._waiting.append(delivery)
            self._news.notify_all()

    def _run(self) -> None:
        reconnects = Reconnects(first_s=0.2, most_s=2.0)
        link: _Link | None = self._link
        troubles: tuple[type[BaseException], ...] = self._link.errors
        troubles += (ServiceUnreachableError, ConfigError)
        while not self._closing:
            try:
                link = link or _Link(self._broker, self._experiment, self._most, self._receive)
                link.poll(_LOOK_S)
                reconnects.succeeded()
            except troubles as error:
                log.warning("copy of the experience interrupted", error=str(error))
                if link is not None:
                    link.close()
                link = None
                time.sleep(reconnects.failed())
        if link is not None:
            link.close()


class _Link:
    """One connection. After any exception it is not used again."""

    def __init__(
        self, broker: Broker, experiment: str, most: int, receive: Callable[[Delivery], None]
    ) -> None:
        self._receive = receive
        self._queue = experience_copy_queue(experiment, most)
        self._learners = [
            experience_queue(experiment, 1, successor=successor).name for successor in (False, True)
        ]
        self._connection = broker.open(CONSUMER_HEARTBEAT_S)
        self.errors = broker.errors(self._connection)
        self._is_bound = False
        self._looked_s = 0.0
        with broker.preparing(self._connection):
            try:
                self._amqp: Any = self._connection.connection
                FrameReader(self._amqp)
                self._look = new_channel(self._connection)
                self._channel = new_channel(self._connection)
                self._queue(self._channel).queue_declare()
                self._channel.basic_qos(0, _PREFETCH, False)
                self._channel.basic_consume(self._queue.name, callback=self._on_message)
                self._bind()
            except AccessRefused as error:
                raise ConfigError(
                    f"the login at {broker.masked_url} may not read what is played for "
                    f"{experiment!r}: {error}. Give it the role learner "
                    "(scripts/rabbitmq-users.sh)."
                ) from error

    def poll(self, for_s: float) -> None:
        """Receives for up to ``for_s`` seconds, and looks whether there is a learner."""
        end_s = time.monotonic() + for_s
        while (left_s := end_s - time.monotonic()) > 0:
            try:
                self._amqp.blocking_read(left_s)
            except TimeoutError:
                break
        self._bind()
        self._connection.heartbeat_check()

    def close(self) -> None:
        """Closes the socket at once."""
        drop(self._connection)

    def _bind(self) -> None:
        wanted = any(map(self._exists, self._learners))
        if wanted == self._is_bound:
            return
        change = self._channel.queue_bind if wanted else self._channel.queue_unbind
        change(self._queue.name, EXPERIENCE_EXCHANGE, self._queue.routing_key)
        self._is_bound = wanted

    def _exists(self, queue: str) -> bool:
        try:
            self._look.queue_declare(queue, passive=True)
        except NotFound:
            self._look = new_channel(self._connection)
            return False
        return True

    def _on_message(self, message: Any) -> None:
        self._channel.basic_ack(message.delivery_tag)
        self._receive(delivery_of(message.body, message.properties, message.delivery_info))
