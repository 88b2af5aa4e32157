"""The connection that tasks are sent on: every send on it ends in time, also under an alarm."""

from __future__ import annotations

import time

from kombu import Connection, Producer

from tinyqueue.bus.broker import Broker, drop, new_channel
from tinyqueue.bus.redis_expiry import ExpiringProducer, Expiry
from tinyqueue.errors import ServiceUnreachableError

BLOCKED_S = 60.0
"""A blocked connection of which nothing has been heard for this long is given up."""


class TaskConnection:
    """A connection with one producer, made at the first send and again after trouble.

    RabbitMQ that is short of memory or disk stops reading from connections that publish, and
    reads on when the alarm is over: what was sent meanwhile arrives then, however long ago its
    sender has gone. So a blocked connection is kept and listened to; a new one for every attempt
    would be as many tasks at once in the end. For one thread at a time, made after any fork.

    Args:
        broker: Where to. No answer of it is waited for longer than
            :data:`~tinyqueue.bus.broker.CONNECT_S`, confirms included.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._connection: Connection | None = None
        self._producer: Producer | None = None
        self._blocked_s: float | None = None
        self._is_over = False
        self._expiry = Expiry()

    def producer(self) -> Producer:
        """A producer that waits for confirms where the broker has them.

        Raises:
            ServiceUnreachableError: The broker does not answer, or takes no messages now.
        """
        if self._blocked_s is not None:
            self._listen(self._blocked_s)
        if self._producer is None:
            self._producer = self._connect()
        return self._producer

    def failed(self) -> None:
        """A send failed: the connection is not used again, unless to hear that an alarm is over."""
        if self._blocked_s is None:
            self.close()

    def close(self) -> None:
        """Lets the connection go, at once."""
        if self._connection is not None:
            drop(self._connection)
        self._connection = self._producer = self._blocked_s = None
        self._is_over = False

    def _connect(self) -> Producer:
        connection = self._connection = self._broker.open()
        with self._broker.preparing(connection):
            if self._broker.confirms:
                amqp = connection.connection
                amqp.confirm_publish = True
                amqp.on_blocked, amqp.on_unblocked = self._blocked, self._unblocked
                return Producer(new_channel(connection), auto_declare=False)
            producer = ExpiringProducer(new_channel(connection), auto_declare=False)
            producer.expiry = self._expiry
            return producer

    def _listen(self, since_s: float) -> None:
        """Returns with no connection when it may be tried anew; its confirms are out of step."""
        assert self._connection is not None
        try:
            while not self._is_over:
                self._connection.drain_events(timeout=0)
        except TimeoutError:
            if time.monotonic() - since_s < BLOCKED_S:
                raise ServiceUnreachableError(
                    f"the broker at {self._broker.masked_url} takes no messages: it is short of "
                    "memory or disk. Free some; until then nothing is sent."
                ) from None
        except self._broker.errors(self._connection):
            pass
        self.close()

    def _blocked(self, reason: str) -> None:
        self._blocked_s = time.monotonic()

    def _unblocked(self) -> None:
        self._is_over = True
