"""Where the updater's experience comes from: the stream of session batches, or a replay of it."""

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
    """A sound session batch of this run that the ledger does not know yet.

    Attributes:
        batch: Decoded; its arrays are views of the delivery's body.
        delivery: How it came.
        settle: Ends the delivery with its fate; from any thread.
    """

    batch: SessionBatch
    delivery: Delivery
    settle: Settle[Mark]

    def accept(self, *, store: bool) -> None:
        """Marks the batch accepted; the ack follows the commit.

        Args:
            store: Whether its bytes go into the session log with the mark.
        """
        header = self.batch.header
        body = StoredBody(self.delivery.body, self.delivery.headers) if store else None
        mark = Mark(
            header.batch_id,
            "accepted",
            env_steps=self.batch.env_steps,
            announced=header.dropped,
            body=body,
        )
        self.settle(self.delivery, mark)

    def drop(self, reason: str) -> None:
        """Marks the batch dropped, by a stated policy."""
        header = self.batch.header
        mark = Mark(header.batch_id, "dropped", reason, announced=header.dropped)
        self.settle(self.delivery, mark)


@dataclass(frozen=True)
class Taken:
    """What the updater is given at once.

    Attributes:
        arrived: Session batches that count from now on, for clocks and statistics.
        experience: What the algorithm is updated with; None when there is nothing to
            train on yet.
    """

    arrived: Sequence[SessionBatch]
    experience: Any = None


OVER = "max env steps"
"""Why a batch is dropped that came after the run's last env step."""


class Source(Protocol):
    """Gives the updater its experience, in the updater's thread."""

    def take(self, timeout_s: float) -> Taken | None:
        """What there is to do next; None when nothing came for so long."""

    def trained(self, taken: Taken, update: Update) -> None:
        """The algorithm was updated with it."""

    def wait_until_settled(self) -> bool:
        """Waits until the ledger knows what was trained on; whether it does. A checkpoint that
        is ahead of the ledger would have a batch trained on again.
        """

    def state(self) -> ReplayState:
        """What a checkpoint keeps of it."""

    def restore(self, checkpoint: Checkpoint | None) -> str:
        """Goes back to where the run was left, and says in words what was restored."""

    def numbers(self) -> Mapping[str, float]:
        """Metrics of its own."""


class Experience(Source, Protocol):
    """A source that is fed by the consumer's thread."""

    def offer(self, arrival: Arrival) -> None:
        """Takes in a batch; it is accepted when the time has come."""

    def committed(self, batch_id: str, number: int) -> None:
        """An accepted batch is in the ledger; ``number`` is its place in the session log, 0 when
        it has none or was there already.
        """

    @property
    def is_ahead(self) -> bool:
        """Whether players have to wait for training."""

    @property
    def error(self) -> BaseException | None:
        """Why its own work has ended by itself."""

    def start(self) -> None:
        """Begins its own work, if it has any."""

    def close(self) -> None:
        """Drops what waits and what comes from now on: the run has had its last env step.

        What is dropped no longer keeps the answer to an evaluation, which comes in the same
        queue, from being delivered. Calling it again does no harm.
        """

    def drain(self) -> Sequence[SessionBatch]:
        """Accepts no more, while the consumer still runs.

        Returns:
            Batches that are accepted and were not taken yet: they count for the clock.
        """

    def stop(self) -> None:
        """Ends its own work, in whatever state it is."""


@dataclass
class Waits:
    """Seconds that the updater has waited, by what it waited for.

    Attributes:
        sampling_s: A sample was allowed and not ready.
        players_s: Experience was missing.
        began_s: On the monotonic clock.
    """

    sampling_s: float = 0.0
    players_s: float = 0.0
    began_s: float = field(default_factory=time.monotonic)

    def shares(self) -> tuple[float, float]:
        """Of all the time since it began: waiting for samples, waiting for players."""
        elapsed_s = max(1e-9, time.monotonic() - self.began_s)
        return self.sampling_s / elapsed_s, self.players_s / elapsed_s
