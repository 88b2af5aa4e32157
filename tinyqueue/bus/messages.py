"""What goes into the bus and what comes out of it."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field


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
    link: object = field(default=None, repr=False)
    """The connection that it came by."""
    tag: object = field(default=None, repr=False)
    """What that connection acks it by; None once it has."""
