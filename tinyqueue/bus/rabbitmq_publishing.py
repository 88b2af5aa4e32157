"""Publishing to RabbitMQ, with each publish ending in time in one of four outcomes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import amqp
from amqp import spec
from kombu import Queue

from tinyqueue.bus.amqp_frames import FrameReader
from tinyqueue.bus.broker import PUBLISHER_HEARTBEAT_S, Broker, drop, new_channel
from tinyqueue.bus.messages import Outgoing, PublishOutcome
from tinyqueue.bus.topology import (
    EXPERIENCE_EXCHANGE,
    evaluation_routing_key,
    experience_queue_name,
    experience_routing_key,
)

APP_ID = "tinyqueue"
_PERSISTENT = 2


class RabbitmqPublishing:
    """One connection with one channel in confirm mode.

    Answers are matched to publishes by their number, whereas py-amqp takes whatever answer comes
    next. After any exception the connection is not used again.

    Args:
        broker: The broker to publish to.
        declare: Queues to declare first, with their exchanges.

    Raises:
        ServiceUnreachableError: The broker does not answer.
    """

    def __init__(self, broker: Broker, declare: Sequence[Queue] = ()) -> None:
        self._connection = broker.open(PUBLISHER_HEARTBEAT_S)
        self.errors = broker.errors(self._connection)
        with broker.preparing(self._connection):
            self._amqp: Any = self._connection.connection
            FrameReader(self._amqp)
            self._channel = new_channel(self._connection)
            for entity in declare:
                entity(self._channel).declare()
            self._channel.confirm_select()
        self._number = 0
        self._timeout_s = 0.0
        self._answer: PublishOutcome | None = None
        self._unroutable = False
        self._channel.events["basic_ack"].add(self._on_ack)
        self._channel.events["basic_nack"].add(self._on_nack)
        self._channel.events["basic_return"].add(self._on_return)

    def publish(
        self,
        body: bytes,
        *,
        exchange: str,
        routing_key: str,
        timeout_s: float,
        **properties: Any,
    ) -> PublishOutcome:
        """Publishes, and waits for the broker's answer: any outcome but UNKNOWN.

        Args:
            body: The message's body.
            exchange: The exchange to publish to.
            routing_key: The routing key there.
            timeout_s: How long to wait for the answer.
            properties: AMQP properties, under py-amqp's names.

        Raises:
            TimeoutError: No answer in time. The message may still arrive.
            amqp.exceptions.AMQPError, OSError: The connection or the channel is lost.
        """
        deadline_s = time.monotonic() + timeout_s
        self._wait_at_most(timeout_s)
        self._number += 1
        self._answer, self._unroutable = None, False
        message = amqp.Message(body, delivery_mode=_PERSISTENT, **properties)
        # Not basic_publish, which first polls the broker for 20 µs.
        arguments = (0, exchange, routing_key, True, False)
        self._channel.send_method(spec.Basic.Publish, "Bssbb", arguments, message)
        answer = self._wait(deadline_s)
        return PublishOutcome.NO_LEARNER if self._unroutable else answer

    def close(self) -> None:
        """Closes the socket at once."""
        drop(self._connection)

    def _wait_at_most(self, timeout_s: float) -> None:
        """Sets how long one read may take."""
        if timeout_s != self._timeout_s:
            self._timeout_s = timeout_s
            self._amqp.sock.settimeout(timeout_s)

    def _wait(self, deadline_s: float) -> PublishOutcome:
        self._amqp.blocking_read()
        while self._answer is None:
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                raise TimeoutError("no confirm in time")
            # One frame at a time: heartbeats must not restart the clock.
            self._amqp.blocking_read(left_s)
        return self._answer

    def _on_ack(self, number: int, multiple: bool) -> None:
        if number == self._number or (multiple and number > self._number):
            self._answer = PublishOutcome.CONFIRMED

    def _on_nack(self, number: int, multiple: bool) -> None:
        if number == self._number or (multiple and number > self._number):
            self._answer = PublishOutcome.FULL

    def _on_return(self, *_: object) -> None:
        self._unroutable = True


class RabbitmqExperience(RabbitmqPublishing):
    """The same connection, for what a player sends to an experiment's learner.

    Args:
        broker: The broker to publish to.
        user: The login at the broker, which RabbitMQ compares with the one in the message.
    """

    def __init__(self, broker: Broker, user: str) -> None:
        super().__init__(broker)
        self._user = user

    def send(self, outgoing: Outgoing, timeout_s: float) -> PublishOutcome:
        """Publishes to the experience exchange; outcomes and errors as for :meth:`publish`."""
        key = evaluation_routing_key if outgoing.is_evaluation else experience_routing_key
        return self.publish(
            outgoing.body,
            exchange=EXPERIENCE_EXCHANGE,
            routing_key=key(outgoing.experiment, self._user),
            timeout_s=timeout_s,
            application_headers=dict(outgoing.headers),
            content_type=outgoing.content_type,
            message_id=outgoing.message_id,
            correlation_id=outgoing.correlation_id,
            user_id=self._user,
            app_id=APP_ID,
        )

    def waiting(self, experiment: str, timeout_s: float) -> int | None:
        """As :meth:`tinyqueue.bus.links.PublishingLink.waiting`, by a passive declaration."""
        self._wait_at_most(timeout_s)
        try:
            declared = self._channel.queue_declare(experience_queue_name(experiment), passive=True)
        except (amqp.exceptions.NotFound, amqp.exceptions.AccessRefused):
            return None
        return int(declared.message_count)
