"""The connection that sends tasks: every send ends in time, even during a RabbitMQ alarm."""

from __future__ import annotations

import time
from collections.abc import Sequence

import structlog
from kombu import Connection, Producer, Queue

from tinyqueue.bus.backoff import Reconnects
from tinyqueue.bus.broker import Broker, drop, new_channel
from tinyqueue.bus.rabbitmq_queues import QueueDownError
from tinyqueue.bus.redis_expiry import ExpiringProducer, Expiry
from tinyqueue.bus.shared_queues import declare_shared
from tinyqueue.errors import ServiceUnreachableError

BLOCKED_S = 60.0
"""A blocked connection that has been silent for this long is given up."""

log = structlog.get_logger(__name__)


class TaskConnection:
    """A connection with one producer, opened at the first send and again after trouble.

    When RabbitMQ is short of memory or disk it stops reading from connections that publish, and
    continues when the alarm is over: what was sent meanwhile arrives then, even if its sender is
    long gone. So a blocked connection is kept and listened to; with a new one for every attempt,
    all those tasks would arrive at once. For one thread at a time; create it after a fork.

    Args:
        broker: The broker to send to. No answer, confirms included, is awaited for longer than
            :data:`~tinyqueue.bus.broker.CONNECT_S`.
        queues: What to declare on every connection, and when a task has found no queue: whoever
            administers the broker may have deleted one, or all.

    Attributes:
        was_returned: Whether the task sent last has come back: it found no queue.
    """

    def __init__(self, broker: Broker, queues: Sequence[Queue] = ()) -> None:
        self._broker = broker
        self._queues = queues
        self.was_returned = False
        self._connection: Connection | None = None
        self._producer: Producer | None = None
        self._blocked_s: float | None = None
        self._is_over = False
        self._expiry = Expiry()
        self._reconnects = Reconnects()
        self._not_before_s = 0.0

    def producer(self) -> Producer:
        """A producer that waits for confirms if the broker has them.

        Raises:
            ServiceUnreachableError: The broker does not answer, did not a moment ago, or accepts no
                messages now.
        """
        if self._blocked_s is not None:
            self._listen(self._blocked_s)
        if self._producer is None:
            self._producer = self._connect()
        self.was_returned = False
        return self._producer

    @property
    def declares(self) -> bool:
        """Whether it declares queues."""
        return bool(self._queues)

    def failed(self) -> None:
        """Notes that a send failed.

        A blocked connection is kept, to hear when the alarm is over; any other is closed.
        """
        if self._blocked_s is None:
            self.close()

    def restore(self) -> bool:
        """Declares the queues again after a task was returned; False if there are none to declare.

        Raises:
            ServiceUnreachableError: The broker did not do what it was asked.
        """
        if not self._queues or self._producer is None or self._connection is None:
            return False
        try:
            with self._broker.preparing(self._connection):
                for queue in self._queues:
                    declare_shared(self._connection, queue)
        except QueueDownError as error:
            self.close()
            raise ServiceUnreachableError(
                f"the broker at {self._broker.masked_url} cannot take a task: {error}. Start that "
                "node, or use quorum queues (TINYQUEUE_QUEUE_TYPE), which outlive one"
            ) from error
        except BaseException:
            # A channel may be closed then, or an answer under way.
            self.close()
            raise
        return True

    def pause(self, seconds: float) -> None:
        """Closes the connection, and opens no other for some seconds."""
        self.close()
        self._not_before_s = time.monotonic() + seconds

    def close(self) -> None:
        """Closes the connection at once."""
        if self._connection is not None:
            drop(self._connection)
        self._connection = self._producer = self._blocked_s = None
        self._is_over = False

    def _connect(self) -> Producer:
        """Connects, unless that failed within the last seconds."""
        if (left_s := self._not_before_s - time.monotonic()) > 0:
            raise ServiceUnreachableError(
                f"the broker at {self._broker.masked_url} could not be used a moment ago; trying "
                f"again in {left_s:.1f} s. Start it, or correct TINYQUEUE_BROKER_URL."
            )
        try:
            producer = self._open()
        except ServiceUnreachableError:
            self._not_before_s = time.monotonic() + self._reconnects.failed()
            raise
        self._reconnects.succeeded()
        return producer

    def _open(self) -> Producer:
        connection = self._connection = self._broker.open()
        with self._broker.preparing(connection):
            if self._broker.confirms:
                amqp = connection.connection
                amqp.confirm_publish = True
                amqp.on_blocked, amqp.on_unblocked = self._blocked, self._unblocked
                self._declare(connection)
                channel = new_channel(connection)
                return Producer(channel, auto_declare=False, on_return=self._returned)
            producer = ExpiringProducer(new_channel(connection), auto_declare=False)
            producer.expiry = self._expiry
            return producer

    def _listen(self, since_s: float) -> None:
        """Closes the connection once a new one may be tried: its confirms are out of step."""
        assert self._connection is not None
        try:
            while not self._is_over:
                self._connection.drain_events(timeout=0)
        except TimeoutError:
            if time.monotonic() - since_s < BLOCKED_S:
                raise ServiceUnreachableError(
                    f"the broker at {self._broker.masked_url} accepts no messages: it is short of "
                    "memory or disk. Free some; until then nothing is sent."
                ) from None
        except self._broker.errors(self._connection):
            pass
        self.close()

    def _declare(self, connection: Connection) -> None:
        for queue in self._queues:
            try:
                declare_shared(connection, queue)
            except QueueDownError as error:
                # The learner can play an evaluation itself, and tasks of another queue may go.
                log.warning("a queue's node is down", queue=queue.name, error=str(error))

    def _returned(self, *what: object) -> None:
        self.was_returned = True

    def _blocked(self, reason: str) -> None:
        self._blocked_s = time.monotonic()

    def _unblocked(self) -> None:
        self._is_over = True
