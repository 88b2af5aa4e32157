"""The fate of a session batch, as the learner reports it to its ledger, and the total of all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tinyqueue.data.session import Drop

Fate = Literal["accepted", "set aside", "dropped", "duplicate"]


@dataclass(frozen=True)
class StoredBody:
    """A session message as received. The session log keeps it with its batch's mark.

    Attributes:
        body: As :func:`tinyqueue.wire.sessions.encode_session` wrote it.
        headers: What its decoder also needs. Only values that JSON can express.
    """

    body: bytes
    headers: Mapping[str, str | int | float | bool]


@dataclass(frozen=True)
class Mark:
    """The fate of one message, and what its header says about earlier batches.

    Attributes:
        batch_id: The batch, or None if the message had no readable id. Such a message is not
            recognised when it is delivered again, and is counted again.
        fate: ``accepted``: trained on or stored. ``set aside``: rejected and dead-lettered.
            ``dropped``: left out by a stated policy. ``duplicate``: its batch already had a fate.
        reason: Why it was set aside or dropped: a short code.
        env_steps: Valid env steps in it; counted if it is accepted.
        announced: Batches of the same stage that its player gave up.
        body: Kept in the session log if this mark decides that the batch is accepted.
        login: The broker login of its sender; empty where there are none. A stage belongs to the
            first login that it is recorded with, and marks of others change nothing in it.
    """

    batch_id: str | None
    fate: Fate
    reason: str = ""
    env_steps: int = 0
    announced: tuple[Drop, ...] = ()
    body: StoredBody | None = None
    login: str = ""


@dataclass(frozen=True)
class Recorded:
    """What became of a mark.

    Attributes:
        decided: Whether it decided its batch's fate. If not, the batch already had one, and the
            message only counts as a duplicate.
        number: Number of its body in the session log, from 1, increasing and never reused; 0 if
            none was kept.
    """

    decided: bool
    number: int = 0


@dataclass(frozen=True)
class Count:
    """Session batches by fate: attempted = accepted + set aside + dropped + missing.

    Attributes:
        attempted: Batches that players are known to have played, and messages without an id.
        accepted: Trained on, or stored for replay.
        set_aside, dropped: By reason.
        missing: Not seen (yet), though a later one of the same stage was: in flight, or lost
            with a player. One message adds at most 1,024, whatever its number.
        duplicates: Messages of a batch that already had its fate; they changed nothing.
        late_drops: Announcements that a batch was given up although it already had its fate: the
            batch had arrived after all, or the announcement came twice. They changed nothing.
        withdrawn: Accepted batches that were taken out of the replay and the session log, since
            they made the loss of an update infinite or NaN.
        env_steps: Env steps in the accepted batches.
    """

    attempted: int = 0
    accepted: int = 0
    set_aside: Mapping[str, int] = field(default_factory=dict)
    dropped: Mapping[str, int] = field(default_factory=dict)
    missing: int = 0
    duplicates: int = 0
    late_drops: int = 0
    withdrawn: int = 0
    env_steps: int = 0

    @property
    def unbalanced(self) -> int:
        """Attempted batches without a fate. Anything but 0 is a bug."""
        by_fate = self.accepted + sum(self.set_aside.values()) + sum(self.dropped.values())
        return self.attempted - by_fate - self.missing

    def document(self) -> dict[str, Any]:
        """The count as plain values, with ``unbalanced``."""
        return {
            "attempted": self.attempted,
            "accepted": self.accepted,
            "set_aside": dict(self.set_aside),
            "dropped": dict(self.dropped),
            "missing": self.missing,
            "duplicates": self.duplicates,
            "late_drops": self.late_drops,
            "withdrawn": self.withdrawn,
            "env_steps": self.env_steps,
            "unbalanced": self.unbalanced,
        }


def by_reason(counts: Mapping[str, int]) -> str:
    """Set aside or dropped batches in words: ``max env steps: 15, stale: 3``."""
    return ", ".join(f"{reason}: {n:,}" for reason, n in sorted(counts.items()))
