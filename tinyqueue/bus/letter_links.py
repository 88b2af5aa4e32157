"""Dead letters on their way to ``tinyqueue.dead``, on either broker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from amqp.exceptions import AccessRefused, NotFound, PreconditionFailed
from kombu import Producer

from tinyqueue.bus.broker import Broker, drop, new_channel
from tinyqueue.bus.messages import PublishOutcome
from tinyqueue.bus.rabbitmq_publishing import RabbitmqPublishing
from tinyqueue.bus.topology import (
    DEAD_LETTER_S,
    DEAD_LETTERS,
    MAX_DEAD_LETTER_BYTES,
    MAX_DEAD_LETTERS,
    dead_letter_queue,
)
from tinyqueue.errors import ConfigError, ServiceUnreachableError

CONFIRM_S = 1.0
"""Acks are held up while a confirm is awaited."""


@dataclass(frozen=True)
class Letter:
    """A dead letter: a body, and a fixed set of headers and properties of bounded size."""

    body: bytes
    headers: Mapping[str, str | int]
    properties: Mapping[str, str]


class LetterLink(Protocol):
    """One connection that puts dead letters. After any exception it is not used again."""

    errors: tuple[type[BaseException], ...]
    """The exceptions that trouble with the broker raises."""

    def put(self, letter: Letter, routing_key: str) -> PublishOutcome:
        """Puts a letter, and waits for the broker's answer.

        Raises:
            One of ``errors``: No answer in time, or a refusal that ends the connection.
        """

    def close(self) -> None:
        """Closes at once."""


class RabbitmqLetters(RabbitmqPublishing):
    """A publishing connection, with the queue declared or known to exist.

    Raises:
        ConfigError: There is no such queue and this process may not declare it.
        ServiceUnreachableError: The broker does not answer, or the queue's node is down.
    """

    def __init__(self, broker: Broker, *, declare: bool) -> None:
        super().__init__(broker, [dead_letter_queue()] if declare else [])
        if declare:
            return
        with broker.preparing(self._connection):
            try:
                self._channel.queue_declare(DEAD_LETTERS, passive=True)
            except NotFound as error:
                if "no queue" not in str(error):
                    raise  # Its node is down, which is temporary.
                raise ConfigError(
                    f"there is no queue {DEAD_LETTERS!r} at {broker.masked_url}, so messages "
                    "cannot be set aside. Declare it with scripts/declare-queues.py, or set "
                    "TINYQUEUE_DECLARE=1 for the learner."
                ) from error

    def put(self, letter: Letter, routing_key: str) -> PublishOutcome:
        """Publishes a letter; outcomes and errors as for :meth:`publish`."""
        return self.publish(
            letter.body,
            exchange=DEAD_LETTERS,
            routing_key=routing_key,
            timeout_s=CONFIRM_S,
            application_headers=dict(letter.headers),
            **letter.properties,
        )


def rabbitmq_letters(broker: Broker, *, declare: bool) -> RabbitmqLetters:
    """A connection for letters; an operator's own arguments of the queue do no harm."""
    try:
        return RabbitmqLetters(broker, declare=declare)
    except ServiceUnreachableError as error:
        if not declare or not isinstance(error.__cause__, PreconditionFailed | AccessRefused):
            raise
    # It exists with an operator's own arguments, or may not be declared: it does as it is.
    return RabbitmqLetters(broker, declare=False)


class RedisLetters:
    """Dead letters in kombu's format, so one reader serves both brokers; trimmed explicitly."""

    def __init__(self, broker: Broker) -> None:
        self._connection = broker.open()
        self.errors = broker.errors(self._connection)
        with broker.preparing(self._connection):
            self._channel = new_channel(self._connection)
            dead_letter_queue()(self._channel).declare()

    def put(self, letter: Letter, routing_key: str) -> PublishOutcome:
        """Pushes a letter, and removes the oldest ones beyond the bounds of number and bytes."""
        properties: dict[str, Any] = dict(letter.properties)
        properties["content_type"] = properties["content_type"] or "application/octet-stream"
        Producer(self._channel).publish(
            letter.body,
            exchange=DEAD_LETTERS,
            routing_key=routing_key,
            headers=dict(letter.headers),
            content_encoding="binary",
            **properties,
        )
        with self._channel.conn_or_acquire() as client:
            client.ltrim(DEAD_LETTERS, 0, MAX_DEAD_LETTERS - 1)
            while (client.memory_usage(DEAD_LETTERS, samples=0) or 0) > MAX_DEAD_LETTER_BYTES:
                client.rpop(DEAD_LETTERS)
            client.expire(DEAD_LETTERS, DEAD_LETTER_S)
        return PublishOutcome.CONFIRMED

    def close(self) -> None:
        """Closes the connection at once."""
        drop(self._connection)
