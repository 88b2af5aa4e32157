"""Consuming from RabbitMQ, on a connection that never publishes.

A memory alarm blocks connections that publish; this one keeps receiving and acking.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import structlog
from amqp.exceptions import AccessRefused, NotFound, PreconditionFailed

from tinyqueue.bus.amqp_frames import FrameReader
from tinyqueue.bus.broker import CONSUMER_HEARTBEAT_S, Broker, drop, new_channel
from tinyqueue.bus.messages import Delivery
from tinyqueue.bus.topology import (
    EXPERIENCE_EXCHANGE,
    experience_queue,
    kept_queue,
    sender_of,
)
from tinyqueue.errors import ConfigError

_GOODBYE_S = 1.0

log = structlog.get_logger(__name__)


class RabbitmqConsuming:
    """One connection with one channel. After any exception it is not used again.

    A queue's arguments cannot be changed. If the queue exists with other arguments and holds
    messages, its successor is declared and bound instead, both are consumed, and the old one is
    deleted once it is empty; the next learner goes back to the first name.

    Args:
        broker, experiment, queue_batches, prefetch, queue_type, declare: As for
            :class:`~tinyqueue.bus.consumer.ExperienceConsumer`.

    Raises:
        ConfigError: The queue and its successor both hold messages under other arguments, the
            login may not consume, or a queue is missing and may not be declared.
        ServiceUnreachableError: The broker does not answer.
    """

    def __init__(
        self,
        broker: Broker,
        experiment: str,
        *,
        queue_batches: int,
        prefetch: int,
        queue_type: str,
        declare: bool,
    ) -> None:
        self._connection = broker.open(CONSUMER_HEARTBEAT_S)
        self.errors = broker.errors(self._connection)
        self._received: list[Delivery] = []
        self._retiring = ""
        self._retiring_in_hand: set[int | None] = set()
        with broker.preparing(self._connection):
            try:
                self._open(experiment, queue_batches, prefetch, queue_type, declare)
            except AccessRefused as error:
                raise ConfigError(
                    f"the login at {broker.masked_url} may not consume what is played for "
                    f"{experiment!r}: {error}. Correct its permissions, or set "
                    "TINYQUEUE_DECLARE=0 if the operator declares the queues."
                ) from error
            except NotFound as error:
                if "no queue" not in str(error):
                    raise  # Its node is down, which is temporary.
                raise ConfigError(
                    f"a queue that the learner of {experiment!r} consumes does not exist at "
                    f"{broker.masked_url}: {error}. Declare it with scripts/declare-queues.py "
                    f"{experiment}:{queue_batches}, or set TINYQUEUE_DECLARE=1 for the learner."
                ) from error

    def fileno(self) -> int:
        """The socket to wait on."""
        fd: int = self._amqp.sock.fileno()
        return fd

    def read(self) -> list[Delivery]:
        """What has arrived, without blocking; empty while a message is incomplete."""
        with contextlib.suppress(TimeoutError):
            self._frames.read_available()
        return self._take()

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Acks deliveries of this connection, one by one."""
        for delivery in deliveries:
            self._channel.basic_ack(delivery.tag)
            self._retiring_in_hand.discard(delivery.tag)

    def tick(self) -> tuple[int, list[Delivery]]:
        """Checks heartbeats; call it once a second.

        Returns:
            How many messages wait at the broker, and what arrived meanwhile.
        """
        self._connection.heartbeat_check()
        ready: int = self._channel.queue_declare(self._queue, passive=True).message_count
        if self._retiring and not self._retiring_in_hand:
            self._retire()
        return ready, self._take()

    def release(self) -> None:
        """Returns what is in hand to the broker, and closes."""
        with contextlib.suppress(*self.errors):
            self._amqp.sock.settimeout(_GOODBYE_S)
            for tag in list(self._channel.callbacks):
                self._channel.basic_cancel(tag)
            self._amqp.close()
        self.close()

    def close(self) -> None:
        """Closes the socket at once; RabbitMQ requeues what is in hand when it notices."""
        drop(self._connection)

    def _open(
        self, experiment: str, queue_batches: int, prefetch: int, queue_type: str, declare: bool
    ) -> None:
        self._amqp: Any = self._connection.connection
        self._frames = FrameReader(self._amqp)
        self._channel = new_channel(self._connection)
        self._queue = experience_queue(experiment, queue_batches, queue_type).name
        if declare:
            # First, because the experience queue may dead-letter to it from the start.
            kept_queue(experiment)(self._channel).declare()
            self._declare(experiment, queue_batches, queue_type)
        self._channel.basic_qos(0, prefetch, False)
        self._tag = self._channel.basic_consume(self._queue, callback=self._receive)
        self._channel.basic_consume(kept_queue(experiment).name, callback=self._receive)
        if self._retiring:
            self._retiring_tag = self._channel.basic_consume(self._retiring, callback=self._receive)

    def _declare(self, experiment: str, queue_batches: int, queue_type: str) -> None:
        first = experience_queue(experiment, queue_batches, queue_type)
        second = experience_queue(experiment, queue_batches, queue_type, successor=True)
        for queue, other in ((first, second), (second, first)):
            try:
                queue(self._channel).declare()
            except PreconditionFailed:
                continue
            self._queue = queue.name
            self._replace(other.name, other.routing_key)
            return
        raise ConfigError(
            f"the queues {first.name} and {second.name} hold messages and have other arguments "
            "than this experiment's. Use the earlier queue_batches until they are empty, "
            "or delete one of them."
        )

    def _replace(self, other: str, routing_key: str) -> None:
        """Deletes the other queue; if it holds messages, unbinds it so that it can be emptied."""
        try:
            # Like all AMQP deletions, this also succeeds when there is no such queue.
            self._channel.queue_delete(other, if_unused=True, if_empty=True)
        except PreconditionFailed:
            self._channel.queue_unbind(other, EXPERIENCE_EXCHANGE, routing_key)
            self._retiring = other
            log.info("queue has other arguments; emptying it", queue=other, new=self._queue)

    def _retire(self) -> None:
        channel = new_channel(self._connection)
        try:
            if channel.queue_declare(self._retiring, passive=True).message_count:
                return
            # Unbound and empty: nothing more can arrive.
            self._channel.basic_cancel(self._retiring_tag)
            channel.queue_delete(self._retiring, if_unused=True, if_empty=True)
            log.info("queue deleted", queue=self._retiring)
            self._retiring = ""
        finally:
            channel.close()

    def _receive(self, message: Any) -> None:
        properties, info = message.properties, message.delivery_info
        headers = properties.get("application_headers") or {}
        tag = info["delivery_tag"]
        if self._retiring and info["consumer_tag"] == self._retiring_tag:
            self._retiring_in_hand.add(tag)
        is_first_hand = info["exchange"] == EXPERIENCE_EXCHANGE and "x-death" not in headers
        login, is_evaluators = sender_of(
            info["routing_key"] if is_first_hand else "", properties.get("user_id", "")
        )
        self._received.append(
            Delivery(
                # py-amqp gives the str "" for a message without a body.
                body=message.body or b"",
                headers={k: v for k, v in headers.items() if isinstance(v, str | int | float)},
                message_id=properties.get("message_id", ""),
                content_type=properties.get("content_type", ""),
                correlation_id=properties.get("correlation_id", ""),
                redelivered=bool(info["redelivered"]),
                login=login,
                is_evaluators=is_evaluators,
                tag=tag,
            )
        )

    def _take(self) -> list[Delivery]:
        received, self._received = self._received, []
        return received
