"""What goes into the bus and what comes out of it."""

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
    """Refused: enough messages wait. Nothing was stored."""
    NO_LEARNER = "no learner"
    """No learner takes messages of this experiment. Nothing was stored."""
    UNKNOWN = "unknown"
    """No answer in time: it may arrive yet. Publish it again under the same id."""


class Acks(Protocol):
    """A connection to the broker, as far as acks go."""

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Tells the broker to forget these messages, which came by this connection."""


@dataclass(eq=False)
class Delivery:
    """A message in the learner's hand, until it is settled.

    Attributes:
        redelivered: An earlier delivery of it was not acked. On Redis this is known only of what
            a learner had in hand that was killed.
    """

    body: bytes
    headers: Mapping[str, str | int | float | bool]
    message_id: str
    content_type: str
    correlation_id: str = ""
    redelivered: bool = False
    link: Acks | None = field(default=None, repr=False)
    """The connection that it came by."""
    tag: int | None = field(default=None, repr=False)
    """What that connection acks it by; None once it has."""


class Settle(Protocol[_Told]):
    """What a handler ends a delivery with, from any thread."""

    def __call__(self, delivery: Delivery, mark: _Told, set_aside: str | None = None) -> None:
        """Has the delivery committed, then acked; the work is the consumer's.

        Args:
            delivery: What is over.
            mark: Passed to ``commit`` with the delivery.
            set_aside: A reason, for a message that is to be kept in ``tinyqueue.dead``.
        """


class Handler(Protocol[Mark]):
    """Who decides what becomes of deliveries. Called in the consumer's thread."""

    def on_delivery(self, delivery: Delivery, settle: Settle[Mark]) -> None:
        """Takes in a message; ``settle`` is called with it now or later, from any thread."""

    def commit(self, settled: Sequence[tuple[Delivery, Mark]]) -> None:
        """Commits the marks of a group that was settled together, before it is acked.

        When it raises, nothing is acked and the consumer ends; on a DiskFullError it goes on,
        with a try each second until there is room.
        """
