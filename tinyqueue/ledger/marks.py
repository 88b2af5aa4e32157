"""What became of a session batch, as the learner tells its ledger, and the sum of it all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tinyqueue.data.session import Drop

Fate = Literal["accepted", "set aside", "dropped", "duplicate"]


@dataclass(frozen=True)
class StoredBody:
    """A session message as it came: the session log keeps it beside its batch's mark.

    Attributes:
        body: As of :func:`tinyqueue.wire.sessions.encode_session`.
        headers: What its decoder needs beside it. Only what JSON can say.
    """

    body: bytes
    headers: Mapping[str, str | int | float | bool]


@dataclass(frozen=True)
class Mark:
    """The fate of one message, and what its header says of earlier batches.

    Attributes:
        batch_id: Which batch, or None when the message had no readable id; then it
            cannot be recognised when it comes again, and counts again.
        fate: ``accepted``: trained on or stored. ``set aside``: refused and dead-lettered.
            ``dropped``: left out by a stated policy. ``duplicate``: its batch had its fate.
        reason: Why it was set aside or dropped: a short code.
        env_steps: Valid environment ticks in it; counted when it is accepted.
        announced: Batches of the same stage that its player gave up.
        body: Kept in the session log when the mark decides that the batch is accepted.
    """

    batch_id: str | None
    fate: Fate
    reason: str = ""
    env_steps: int = 0
    announced: tuple[Drop, ...] = ()
    body: StoredBody | None = None


@dataclass(frozen=True)
class Recorded:
    """What became of a mark.

    Attributes:
        decided: Whether it decided its batch's fate. If not, the batch had one, and the
            message is only counted, as a duplicate.
        number: Its body's place in the session log, from 1, rising and never used again;
            0 when none was kept.
    """

    decided: bool
    number: int = 0


@dataclass(frozen=True)
class Count:
    """Session batches by fate: attempted = accepted + set aside + dropped + missing.

    Attributes:
        attempted: Batches that players are known to have made, and messages without an id.
        accepted: Trained on, or stored for replay.
        set_aside, dropped: By reason.
        missing: Not (yet) seen, though a later one of their stage was: in flight, or lost
            with a player.
        duplicates: Messages of a batch that had its fate; they changed nothing.
        late_drops: Announcements that a batch was given up which had its fate: the batch had
            arrived after all, or the announcement came twice. They changed nothing.
        env_steps: Of the accepted batches.
    """

    attempted: int = 0
    accepted: int = 0
    set_aside: Mapping[str, int] = field(default_factory=dict)
    dropped: Mapping[str, int] = field(default_factory=dict)
    missing: int = 0
    duplicates: int = 0
    late_drops: int = 0
    env_steps: int = 0

    @property
    def unbalanced(self) -> int:
        """Attempted batches without a fate. Anything but 0 is a defect."""
        by_fate = self.accepted + sum(self.set_aside.values()) + sum(self.dropped.values())
        return self.attempted - by_fate - self.missing

    def document(self) -> dict[str, Any]:
        """The same as plain values, with what is unbalanced."""
        return {
            "attempted": self.attempted,
            "accepted": self.accepted,
            "set_aside": dict(self.set_aside),
            "dropped": dict(self.dropped),
            "missing": self.missing,
            "duplicates": self.duplicates,
            "late_drops": self.late_drops,
            "env_steps": self.env_steps,
            "unbalanced": self.unbalanced,
        }
