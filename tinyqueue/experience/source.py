"""Sources of experience for the updater: the stream of session batches, or a replay of it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from tinyqueue.algorithms.base import Update
from tinyqueue.bus.messages import Delivery, Settle
from tinyqueue.data.session import SessionBatch
from tinyqueue.ledger.marks import Mark, StoredBody
from tinyqueue.run.checkpoint import Checkpoint, ReplayState


@dataclass(frozen=True)
class Arrival:
    """A valid session batch of this run that the ledger does not know yet.

    Attributes:
        batch: The decoded batch; its arrays are views of the delivery's body.
        delivery: The message.
        settle: Ends the delivery with its fate; callable from any thread.
    """

    batch: SessionBatch
    delivery: Delivery
    settle: Settle[Mark]

    def accept(self, *, store: bool) -> None:
        """Marks the batch accepted; the ack follows the commit.

        Args:
            store: Whether its bytes are stored in the session log with the mark.
        """
        header = self.batch.header
        body = StoredBody(self.delivery.body, self.delivery.headers) if store else None
        mark = Mark(
            header.batch_id,
            "accepted",
            env_steps=self.batch.env_steps,
            announced=header.dropped,
            body=body,
            login=self.delivery.login,
        )
        self.settle(self.delivery, mark)

    def set_aside(self, reason: str) -> None:
        """Marks the batch set aside, and keeps the message among the dead letters.

        Args:
            reason: A code of ``tinyqueue.wire.limits.REASONS``.
        """
        header, login = self.batch.header, self.delivery.login
        mark = Mark(header.batch_id, "set aside", reason, announced=header.dropped, login=login)
        self.settle(self.delivery, mark, set_aside=reason)

    def drop(self, reason: str) -> None:
        """Marks the batch dropped.

        Args:
            reason: The policy that says so: a short code.
        """
        header = self.batch.header
        login = self.delivery.login
        mark = Mark(header.batch_id, "dropped", reason, announced=header.dropped, login=login)
        self.settle(self.delivery, mark)


@dataclass(frozen=True)
class Taken:
    """What the updater gets from a source at a time.

    Attributes:
        arrived: Session batches to count now, in clocks and statistics.
        experience: What to update the algorithm with; None if there is nothing to train on yet.
    """

    arrived: Sequence[SessionBatch]
    experience: Any = None


@dataclass(frozen=True)
class Refused:
    """A session batch that is not trained on any more.

    Attributes:
        login: The broker login that sent it; empty where that is not known.
        player: Name of the player.
    """

    login: str
    player: str


NOT_FINITE = "not-finite"
"""Reason for setting a batch aside that made the loss of an update infinite or NaN."""
OVER = "max env steps"
"""Reason for dropping a batch that arrived after the run's last env step."""


class Source(Protocol):
    """Gives the updater its experience, in the updater's thread.

    Attributes:
        is_own: Whether all experience is played by this process, which has no reason to distrust
            it.
        counts_failed: Whether :attr:`Taken.arrived` counts even if the update fails.
    """

    is_own: bool = False
    counts_failed: bool = False

    def take(self, timeout_s: float) -> Taken | None:
        """What to count and train on next; None if nothing came within ``timeout_s``."""

    def trained(self, taken: Taken, update: Update) -> None:
        """Tells the source that the algorithm was updated with ``taken``."""

    def refuse(self, taken: Taken, culprits: Sequence[int]) -> Sequence[Refused]:
        """Tells the source that the update with ``taken`` failed, and was not applied.

        Args:
            taken: What it was to be trained on.
            culprits: Which session batches of it, or items of a sample, made it fail. They are
                taken out for good. The other batches of a stream come again in a later update.

        Returns:
            The session batches that were taken out.
        """

    def wait_until_settled(self) -> bool:
        """Waits until the ledger knows what was trained on, up to a time limit.

        With a checkpoint ahead of the ledger, a batch would be trained on again.

        Returns:
            Whether the ledger knows it.
        """

    def state(self) -> ReplayState:
        """What a checkpoint keeps of the source."""

    def restore(self, checkpoint: Checkpoint | None) -> str:
        """Continues where the run was left.

        Returns:
            What was restored, for the user; empty if nothing was.
        """

    def numbers(self) -> Mapping[str, float]:
        """Its own metrics."""


class Experience(Source, Protocol):
    """A source fed by the consumer's thread."""

    def offer(self, arrival: Arrival) -> None:
        """Receives a batch; the source decides when to accept it."""

    def committed(self, batch_id: str, number: int) -> None:
        """Tells the source that an accepted batch is in the ledger.

        Args:
            batch_id: The batch.
            number: Its number in the session log; 0 if it was not stored, or was there already.
        """

    @property
    def is_ahead(self) -> bool:
        """Whether players are ahead and wait for training."""

    @property
    def error(self) -> BaseException | None:
        """The error that ended its thread; None while there is none."""

    def start(self) -> None:
        """Starts its thread, if it has one."""

    def close(self) -> None:
        """Drops waiting batches and all later ones: the run has reached its last env step.

        This lets the consumer deliver evaluation results, which come in the same queue. Calling it
        again does nothing.
        """

    def drain(self) -> Sequence[SessionBatch]:
        """Stops accepting, while the consumer still runs.

        Returns:
            Batches that were accepted but not taken yet: they count for the clock.
        """

    def stop(self) -> None:
        """Stops its thread, whatever its state."""


@dataclass
class Waits:
    """Seconds that the updater has waited, by cause.

    Attributes:
        sampling_s: For a sample that was due but not ready.
        players_s: For experience.
        began_s: Start of the measurement, on the monotonic clock.
    """

    sampling_s: float = 0.0
    players_s: float = 0.0
    began_s: float = field(default_factory=time.monotonic)

    def shares(self) -> tuple[float, float]:
        """Shares of the time since the start: waiting for samples, waiting for players."""
        elapsed_s = max(1e-9, time.monotonic() - self.began_s)
        return self.sampling_s / elapsed_s, self.players_s / elapsed_s
