"""Where messages go that the learner does not accept: each with a reason, and confirmed."""

from __future__ import annotations

import time
from typing import Any

import structlog
from amqp.exceptions import NotFound
from kombu import Producer

from tinyqueue.bus.broker import Broker, drop, new_channel
from tinyqueue.bus.messages import Delivery, PublishOutcome
from tinyqueue.bus.rabbitmq_publishing import RabbitmqPublishing
from tinyqueue.bus.topology import (
    DEAD_LETTER_S,
    DEAD_LETTERS,
    MAX_DEAD_LETTERS,
    dead_letter_queue,
)
from tinyqueue.errors import ConfigError, ServiceUnreachableError

CONFIRM_S = 1.0
"""Acks are held up while a confirm is awaited."""
RETRY_S = 5.0

log = structlog.get_logger(__name__)


class DeadLetters:
    """Publishes to ``tinyqueue.dead`` on its own connection, opened when first needed.

    Args:
        broker: The broker to publish to.
        experiment: Named in every dead letter, and the routing key.
        declare: Whether to declare the exchange and the queue.
    """

    def __init__(self, broker: Broker, experiment: str, *, declare: bool) -> None:
        self._broker = broker
        self._experiment = experiment
        self._declare = declare
        self._link: RabbitmqPublishing | _RedisDeadLetters | None = None
        self._not_before_s = 0.0

    def put(self, delivery: Delivery, reason: str) -> bool:
        """Keeps a message as a dead letter, and returns whether that was confirmed.

        If not, call it again later; calls within :data:`RETRY_S` of a failure do nothing.

        Raises:
            ConfigError: There is no such queue and this process may not declare it.
        """
        if time.monotonic() < self._not_before_s:
            return False
        headers = {**delivery.headers, "reason": reason, "experiment": self._experiment}
        properties = {
            "content_type": delivery.content_type,
            "message_id": delivery.message_id,
            "correlation_id": delivery.correlation_id,
        }
        try:
            link = self._link = self._link or self._connect()
        except ServiceUnreachableError as error:
            return self._later(reason, error)
        try:
            outcome = link.publish(
                delivery.body,
                exchange=DEAD_LETTERS,
                routing_key=self._experiment,
                timeout_s=CONFIRM_S,
                application_headers=headers,
                **properties,
            )
        except NotFound:
            self.close()
            outcome = PublishOutcome.NO_LEARNER
        except link.errors as error:
            return self._later(reason, error)
        if outcome is PublishOutcome.NO_LEARNER:
            raise ConfigError(
                f"no queue is bound to {DEAD_LETTERS} at {self._broker.masked_url}, so messages "
                "cannot be set aside. Declare it, or set TINYQUEUE_DECLARE=1 for the learner."
            )
        return outcome is PublishOutcome.CONFIRMED

    def _later(self, reason: str, error: BaseException) -> bool:
        log.warning("message not set aside yet; retrying", reason=reason, error=str(error))
        self.close()
        self._not_before_s = time.monotonic() + RETRY_S
        return False

    def close(self) -> None:
        """Closes the connection at once; the next :meth:`put` reconnects."""
        if self._link is not None:
            self._link.close()
            self._link = None

    def _connect(self) -> RabbitmqPublishing | _RedisDeadLetters:
        if self._broker.kind == "redis":
            return _RedisDeadLetters(self._broker)
        return RabbitmqPublishing(self._broker, [dead_letter_queue()] if self._declare else [])


class _RedisDeadLetters:
    """Dead letters in kombu's format, so one reader serves both brokers; trimmed explicitly."""

    def __init__(self, broker: Broker) -> None:
        self._connection = broker.open()
        self.errors = broker.errors(self._connection)
        with broker.preparing(self._connection):
            self._channel = new_channel(self._connection)
            dead_letter_queue()(self._channel).declare()

    def publish(
        self,
        body: bytes,
        *,
        exchange: str,
        routing_key: str,
        timeout_s: float,
        application_headers: dict[str, Any],
        content_type: str,
        **properties: Any,
    ) -> PublishOutcome:
        Producer(self._channel).publish(
            body,
            exchange=exchange,
            routing_key=routing_key,
            headers=application_headers,
            content_type=content_type or "application/octet-stream",
            content_encoding="binary",
            **properties,
        )
        with self._channel.conn_or_acquire() as client:
            client.ltrim(DEAD_LETTERS, 0, MAX_DEAD_LETTERS - 1)
            client.expire(DEAD_LETTERS, DEAD_LETTER_S)
        return PublishOutcome.CONFIRMED

    def close(self) -> None:
        drop(self._connection)
