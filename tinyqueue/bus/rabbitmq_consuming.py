"""Consuming from RabbitMQ, on a connection that never publishes.

A memory alarm blocks connections that publish; this one keeps receiving and acking.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

from amqp.exceptions import AccessRefused, NotFound
from kombu import Queue

from tinyqueue.bus.amqp_frames import FrameReader
from tinyqueue.bus.broker import CONSUMER_HEARTBEAT_S, Broker, drop, new_channel
from tinyqueue.bus.messages import Delivery, received
from tinyqueue.bus.rabbitmq_queues import ExperienceQueues, QueueDownError, is_absent
from tinyqueue.bus.topology import EXPERIENCE_EXCHANGE, sender_of
from tinyqueue.errors import ConfigError, ServiceUnreachableError
from tinyqueue.wire.message_headers import known_property

EXCHANGE_S = 5.0
"""Between two looks for the exchange that players publish to: if it is deleted, this connection
stays as it is, with a queue that nothing is bound to any more."""
LOOK_AGAIN_S = 30.0
"""Between two looks for a queue whose node is down, and two attempts to delete one."""
_GOODBYE_S = 1.0


class RabbitmqConsuming:
    """One connection with one channel. After any exception it is not used again.

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
        self._declares = declare
        self._received: list[Delivery] = []
        self._in_hand: dict[str, set[int]] = {}
        """Queue that is consumed → delivery tags."""
        self._look_again_s = time.monotonic() + LOOK_AGAIN_S
        self._retire_again_s = 0.0
        self._exchange_s = time.monotonic() + EXCHANGE_S
        self._queues = ExperienceQueues(
            broker, self._connection, experiment, queue_batches, prefetch, queue_type
        )
        with broker.preparing(self._connection):
            try:
                self._open(prefetch)
            except AccessRefused as error:
                raise ConfigError(
                    f"the login at {broker.masked_url} may not consume what is played for "
                    f"{experiment!r}: {error}. Correct its permissions, or set "
                    "TINYQUEUE_DECLARE=0 if the operator declares the queues."
                ) from error
            except NotFound as error:
                if declare or not is_absent(error):
                    raise  # Its node is down, or it has just been deleted: temporary.
                raise ConfigError(
                    f"a queue that the learner of {experiment!r} consumes does not exist at "
                    f"{broker.masked_url}: {error}. Declare it with scripts/declare-queues.py "
                    f"{experiment}:{queue_batches}:{prefetch - 1}, or set TINYQUEUE_DECLARE=1 "
                    "for the learner."
                ) from error
            except QueueDownError as error:
                raise ServiceUnreachableError(
                    f"the node of a queue of {experiment!r} at {broker.masked_url} is down: {error}"
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
            for tags in self._in_hand.values():
                tags.discard(delivery.tag or 0)

    def tick(self) -> tuple[int, list[Delivery]]:
        """Checks heartbeats; call it once a second.

        Returns:
            How many messages wait at the broker, and what arrived meanwhile.
        """
        main = self._queues.main.name
        ready: int = self._channel.queue_declare(main, passive=True).message_count
        # Only now: after a long commit, heartbeats that have arrived were not read yet.
        self._connection.heartbeat_check()
        for queue in list(self._queues.retiring):
            self._retire(queue)
        self._look_for_kept()
        if time.monotonic() > self._exchange_s:
            self._exchange_s = time.monotonic() + EXCHANGE_S
            self._require_exchange()
        # What came with the answers is in the buffer, where no selector sees it.
        self._frames.read_buffered()
        return ready, self._take()

    def release(self) -> None:
        """Returns what is in hand to the broker, closes, and deletes what is empty then."""
        is_whole = False
        with contextlib.suppress(*self.errors):
            self._amqp.sock.settimeout(_GOODBYE_S)
            for tag in list(self._channel.callbacks):
                self._channel.basic_cancel(tag)
            self._amqp.close()
            is_whole = True
        self.close()
        if is_whole and self._declares:
            with contextlib.suppress(ServiceUnreachableError, QueueDownError, *self.errors):
                self._queues.delete_empty()

    def close(self) -> None:
        """Closes the socket at once; RabbitMQ requeues what is in hand when it notices."""
        drop(self._connection)

    def _open(self, prefetch: int) -> None:
        self._amqp: Any = self._connection.connection
        self._frames = FrameReader(self._amqp)
        if not self._declares:
            self._queues.find()
            self._begin(prefetch)
            self._require_exchange()
            return
        self._queues.declare()
        try:
            self._begin(prefetch)
        except NotFound as error:
            if not is_absent(error):
                raise
            # Another learner, which this one has replaced, has just deleted it as empty.
            self._queues.declare()
            self._begin(prefetch)

    def _require_exchange(self) -> None:
        """Looks for the exchange of players, and declares it if it is gone and ours to declare."""
        if self._queues.has_exchange():
            return
        if not self._declares:
            raise ServiceUnreachableError(
                f"there is no exchange {EXPERIENCE_EXCHANGE!r} that players could publish to. "
                "Declare it with scripts/declare-queues.py."
            )
        try:
            self._queues.bind_again()
        except QueueDownError as error:
            raise ServiceUnreachableError(str(error)) from error

    def _begin(self, prefetch: int) -> None:
        self._in_hand.clear()
        self._channel = new_channel(self._connection)
        self._channel.basic_qos(0, prefetch, False)
        self._consume_all()

    def _consume_all(self) -> None:
        """Consumes every queue that is not consumed yet."""
        queues = self._queues
        for queue in (queues.main, queues.kept, *queues.retiring):
            if queue is not None and queue.name not in self._in_hand:
                self._consume(queue)

    def _consume(self, queue: Queue) -> None:
        # Its name is also the consumer's tag, by which it is known what is in hand of the queue.
        name = queue.name
        self._in_hand.setdefault(name, set())
        self._channel.basic_consume(name, consumer_tag=name, callback=self._receive)

    def _look_for_kept(self) -> None:
        if not (self._declares and self._queues.lacks_kept):
            return
        if time.monotonic() > self._look_again_s:
            self._look_again_s = time.monotonic() + LOOK_AGAIN_S
            with contextlib.suppress(ConfigError):
                self._queues.find_kept()
            self._consume_all()

    def _retire(self, queue: Queue) -> None:
        in_hand = self._in_hand[queue.name]
        if in_hand or time.monotonic() < self._retire_again_s:
            return
        if not self._queues.may_retire(queue):
            return
        self._channel.basic_cancel(queue.name)
        if not in_hand:
            if self._queues.retire(queue):
                del self._in_hand[queue.name]
                return
            # Such as another learner's consumer, which may stay for hours.
            self._retire_again_s = time.monotonic() + LOOK_AGAIN_S
        self._consume(queue)

    def _receive(self, message: Any) -> None:
        info = message.delivery_info
        self._in_hand[info["consumer_tag"]].add(info["delivery_tag"])
        self._received.append(delivery_of(message.body, message.properties, info))

    def _take(self) -> list[Delivery]:
        received, self._received = self._received, []
        return received


def delivery_of(body: Any, properties: Mapping[str, Any], info: Mapping[str, Any]) -> Delivery:
    """The delivery of a message, of whatever a sender wrote into it.

    Args:
        body: Its body; py-amqp gives the str "" for a message without one.
        properties: Its AMQP properties, under py-amqp's names.
        info: What RabbitMQ says of the delivery.
    """
    headers = properties.get("application_headers") or {}
    # What was dead-lettered comes by another exchange. A sender's own headers prove nothing.
    is_first_hand = info["exchange"] == EXPERIENCE_EXCHANGE
    login, is_evaluators = sender_of(
        info["routing_key"] if is_first_hand else "", properties.get("user_id", "")
    )
    return received(
        body or b"",
        headers,
        properties,
        redelivered=bool(info["redelivered"]),
        login=known_property(login) or "?",
        is_evaluators=is_evaluators,
        expires="expiration" in properties or _has_expired(headers),
        tag=info["delivery_tag"],
    )


def _has_expired(headers: Mapping[Any, Any]) -> bool:
    """Whether RabbitMQ has moved the message because its sender's expiration had passed."""
    deaths = headers.get("x-death")
    if not isinstance(deaths, list):
        return False
    return any(isinstance(one, Mapping) and one.get("reason") == "expired" for one in deaths)
