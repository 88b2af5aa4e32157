"""What goes into the bus and what comes out."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from tinyqueue.errors import MessageError
from tinyqueue.wire.message_headers import Headers, known_headers, known_property

Mark = TypeVar("Mark")
_Told = TypeVar("_Told", contravariant=True)


@dataclass(frozen=True)
class Outgoing:
    """A message for the learner of an experiment. A retry carries the same ``message_id``.

    Attributes:
        is_evaluation: Whether it is about an evaluation, which only logins of evaluating workers
            may send.
    """

    experiment: str
    body: bytes
    content_type: str
    message_id: str
    correlation_id: str
    headers: Mapping[str, str | int]
    is_evaluation: bool = False


class PublishOutcome(enum.Enum):
    """What became of a publish."""

    CONFIRMED = "confirmed"
    FULL = "full"
    """Refused: the queue is full. Nothing was stored."""
    NO_ROOM = "no room"
    """Not even sent: the broker was asked first, and the queue is full."""
    NO_LEARNER = "no learner"
    """No learner consumes this experiment's messages. Nothing was stored."""
    UNKNOWN = "unknown"
    """No answer in time: it may still arrive. Publish it again under the same id."""

    @property
    def is_full(self) -> bool:
        """Whether the queue was full."""
        return self in (PublishOutcome.FULL, PublishOutcome.NO_ROOM)


class Acks(Protocol):
    """A connection to the broker that can ack."""

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Tells the broker to forget these messages, all delivered by this connection."""


@dataclass(eq=False)
class Delivery:
    """A message that the learner has received but not yet settled.

    Attributes:
        headers, message_id, content_type, correlation_id: As :mod:`tinyqueue.wire.message_headers`
            leaves them: known names, text and counts of bounded size, nothing else.
        redelivered: Whether an earlier delivery of it was not acked. On Redis this is known only
            for messages that a killed learner had in hand.
        login: The broker login that sent it, as the broker has checked it; empty on Redis, where
            all share one login. Nothing in the body or the headers can change it.
        is_evaluators: Whether its sender may answer evaluations: a permission of the login on
            RabbitMQ; always true on Redis.
        expires: Whether its sender let it expire, so that RabbitMQ may drop it after its confirm.
        has_failed: Whether handling it has failed; what is settled of it later does not count.
    """

    body: bytes
    headers: Headers
    message_id: str
    content_type: str
    correlation_id: str = ""
    redelivered: bool = False
    login: str = ""
    is_evaluators: bool = True
    expires: bool = False
    has_failed: bool = field(default=False, repr=False)
    link: Acks | None = field(default=None, repr=False)
    """The connection that delivered it."""
    tag: int | None = field(default=None, repr=False)
    """The tag by which that connection acks it; None once acked."""


def received(
    body: bytes, headers: Mapping[Any, Any], properties: Mapping[str, Any], **known: Any
) -> Delivery:
    """A delivery of what a sender wrote, bounded here before it travels any further.

    Args:
        body: The body.
        headers, properties: Whatever the sender wrote, of any size and type.
        known: The other attributes, which the broker vouches for.
    """
    return Delivery(
        body=body,
        headers=known_headers(headers),
        message_id=known_property(properties.get("message_id")),
        content_type=known_property(properties.get("content_type")),
        correlation_id=known_property(properties.get("correlation_id")),
        **known,
    )


class Settle(Protocol[_Told]):
    """How a handler ends a delivery, from any thread."""

    def __call__(self, delivery: Delivery, mark: _Told, set_aside: str | None = None) -> None:
        """Asks the consumer to commit the delivery, then ack it.

        Args:
            delivery: The delivery that is over.
            mark: Passed to ``commit`` with the delivery.
            set_aside: A reason, if the message must be kept in ``tinyqueue.dead``.
        """


class Handler(Protocol[Mark]):
    """Decides what becomes of deliveries. Called in the consumer's thread.

    An error that it does not raise on purpose costs the delivery that it was about, never the
    learner: see :class:`~tinyqueue.bus.in_hand.InHand`.
    """

    def on_delivery(self, delivery: Delivery, settle: Settle[Mark]) -> None:
        """Takes in a message, and calls ``settle`` with it, now or later, from any thread."""

    def commit(self, settled: Sequence[tuple[Delivery, Mark]]) -> None:
        """Commits the marks of a group that was settled together, before it is acked.

        If it raises a TinyqueueError or an OSError, nothing is acked and the consumer ends; after
        a DiskFullError the consumer goes on, and tries again every second until there is room.
        After any other error the group is committed one by one.
        """

    def refused(self, delivery: Delivery, error: MessageError) -> Mark:
        """Notes that a message is set aside without, or in spite of, ``on_delivery``.

        Returns:
            What to commit with it.
        """
