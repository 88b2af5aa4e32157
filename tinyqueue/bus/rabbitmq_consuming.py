"""Consuming from RabbitMQ, on one connection that never publishes.

A memory alarm blocks connections that publish; this one goes on receiving and acking.
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
from tinyqueue.bus.topology import EXPERIENCE_EXCHANGE, experience_queue, kept_queue
from tinyqueue.errors import ConfigError

_GOODBYE_S = 1.0

log = structlog.get_logger(__name__)


class RabbitmqConsuming:
    """One connection with one channel. After any exception it is not used again.

    A queue's arguments cannot be changed. Where the queue exists with others and holds messages,
    its successor is declared and bound instead, both are consumed, and the old one is deleted
    when it is empty; the next learner goes back to the first name.

    Args:
        broker, experiment, queue_batches, prefetch, queue_type, declare: As of
            :class:`~tinyqueue.bus.consumer.ExperienceConsumer`.

    Raises:
        ConfigError: The queue and its successor both hold messages under other arguments, the
            login may not consume, or a queue is not there and may not be declared.
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
                    "TINYQUEUE_DECLARE=0 where queues are made by the operator."
                ) from error
            except NotFound as error:
                if "no queue" not in str(error):
                    raise  # Its node is down, which passes.
                raise ConfigError(
                    f"a queue that the learner of {experiment!r} consumes is not at "
                    f"{broker.masked_url}: {error}. Make it, by scripts/declare-queues.py "
                    f"{experiment}:{queue_batches}, or set TINYQUEUE_DECLARE=1 for the learner."
                ) from error

    def fileno(self) -> int:
        """The socket to wait on."""
        fd: int = self._amqp.sock.fileno()
        return fd

    def read(self) -> list[Delivery]:
        """What has arrived, when the socket is readable; nothing while a message is incomplete."""
        with contextlib.suppress(TimeoutError):
            self._frames.read_available()
        return self._take()

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            self._channel.basic_ack(delivery.tag)
            self._retiring_in_hand.discard(delivery.tag)

    def tick(self) -> tuple[int, list[Delivery]]:
        """Call it each second: heartbeats. Messages that wait, and what arrived meanwhile."""
        self._connection.heartbeat_check()
        ready: int = self._channel.queue_declare(self._queue, passive=True).message_count
        if self._retiring and not self._retiring_in_hand:
            self._retire()
        return ready, self._take()

    def release(self) -> None:
        """Gives back what is in hand, and closes."""
        with contextlib.suppress(*self.errors):
            self._amqp.sock.settimeout(_GOODBYE_S)
            for tag in list(self._channel.callbacks):
                self._channel.basic_cancel(tag)
            self._amqp.close()
        self.close()

    def close(self) -> None:
        drop(self._connection)

    def _open(
        self, experiment: str, queue_batches: int, prefetch: int, queue_type: str, declare: bool
    ) -> None:
        self._amqp: Any = self._connection.connection
        self._frames = FrameReader(self._amqp)
        self._channel = new_channel(self._connection)
        self._queue = experience_queue(experiment, queue_batches, queue_type).name
        if declare:
            # First: the queue may have something to put there from its first moment on.
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
            "than this experiment's. Go back to the earlier queue_batches until they are empty, "
            "or delete one of them."
        )

    def _replace(self, other: str, routing_key: str) -> None:
        """Deletes the other queue; where it holds messages, it gets no more and is consumed."""
        try:
            # As all of AMQP's deletions, this also succeeds when there is no such queue.
            self._channel.queue_delete(other, if_unused=True, if_empty=True)
        except PreconditionFailed:
            self._channel.queue_unbind(other, EXPERIENCE_EXCHANGE, routing_key)
            self._retiring = other
            log.info("queue has other arguments; emptied first", queue=other, new=self._queue)

    def _retire(self) -> None:
        channel = new_channel(self._connection)
        try:
            if channel.queue_declare(self._retiring, passive=True).message_count:
                return
            # Unbound and empty: nothing comes after this.
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
        self._received.append(
            Delivery(
                # py-amqp gives the text "" for a message without a body.
                body=message.body or b"",
                headers={k: v for k, v in headers.items() if isinstance(v, str | int | float)},
                message_id=properties.get("message_id", ""),
                content_type=properties.get("content_type", ""),
                correlation_id=properties.get("correlation_id", ""),
                redelivered=bool(info["redelivered"]),
                tag=tag,
            )
        )

    def _take(self) -> list[Delivery]:
        received, self._received = self._received, []
        return received
