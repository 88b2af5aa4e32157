"""What goes into the bus and what comes out."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

Mark = TypeVar("Mark")
_Told = TypeVar("_Told", contravariant=True)


@dataclass(frozen=True)
class Outgoing:
    """A message for the learner of an experiment. A retry carries the same ``message_id``."""

    experiment: str
    body: bytes
    content_type: str
    message_id: str
    correlation_id: str
    headers: Mapping[str, str | int]


class PublishOutcome(enum.Enum):
    """What became of a publish."""

    CONFIRMED = "confirmed"
    FULL = "full"
    """Refused: the queue is full. Nothing was stored."""
    NO_LEARNER = "no learner"
    """No learner consumes this experiment's messages. Nothing was stored."""
    UNKNOWN = "unknown"
    """No answer in time: it may still arrive. Publish it again under the same id."""


class Acks(Protocol):
    """A connection to the broker that can ack."""

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Tells the broker to forget these messages, all delivered by this connection."""


@dataclass(eq=False)
class Delivery:
    """A message that the learner has received but not yet settled.

    Attributes:
        redelivered: Whether an earlier delivery of it was not acked. On Redis this is known only
            for messages that a killed learner had in hand.
        login: The broker login that sent it, as the broker has checked it; empty on Redis, where
            all share one login. Nothing in the body or the headers can change it.
        is_evaluators: Whether its sender may answer evaluations: a permission of the login on
            RabbitMQ; always true on Redis.
    """

    body: bytes
    headers: Mapping[str, str | int | float | bool]
    message_id: str
    content_type: str
    correlation_id: str = ""
    redelivered: bool = False
    login: str = ""
    is_evaluators: bool = True
    link: Acks | None = field(default=None, repr=False)
    """The connection that delivered it."""
    tag: int | None = field(default=None, repr=False)
    """The tag by which that connection acks it; None once acked."""


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
    """Decides what becomes of deliveries. Called in the consumer's thread."""

    def on_delivery(self, delivery: Delivery, settle: Settle[Mark]) -> None:
        """Takes in a message, and calls ``settle`` with it, now or later, from any thread."""

    def commit(self, settled: Sequence[tuple[Delivery, Mark]]) -> None:
        """Commits the marks of a group that was settled together, before it is acked.

        If it raises, nothing is acked and the consumer ends. After a DiskFullError the consumer
        goes on, and tries again every second until there is room.
        """
