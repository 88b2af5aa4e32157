"""Experience of stream algorithms: every session batch is trained on once, in order of arrival."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from tinyqueue.algorithms.base import Update
from tinyqueue.data.session import SessionBatch
from tinyqueue.experience.source import NOT_FINITE, OVER, Arrival, Refused, Taken
from tinyqueue.run.checkpoint import Checkpoint, ReplayState

COMMIT_S = 10.0
"""Maximum wait of a checkpoint for the ledger; a commit takes a millisecond."""


class StreamExperience:
    """Batches wait here until they have been trained on; then they are accepted.

    Args:
        batches_per_update: Number of batches per update.
        is_known: Whether the ledger knows a batch's fate.
        log_every_s: Seconds between two batches that are stored in the session log.
    """

    error: BaseException | None = None
    is_ahead = False
    is_own = False
    counts_failed = False

    def __init__(
        self,
        batches_per_update: int,
        is_known: Callable[[str], bool],
        *,
        log_every_s: float,
    ) -> None:
        self._count = batches_per_update
        self._is_known = is_known
        self._log_every_s = log_every_s
        # No SimpleQueue: in Python 3.11 its get() never ends if a signal handler outlasts it.
        self._ready: queue.Queue[Arrival] = queue.Queue()
        self._partial: list[Arrival] = []
        self._taken: list[Arrival] = []
        self._trained: tuple[str, ...] = ()
        self._stored_s = -log_every_s
        self._is_closed = False

    def offer(self, arrival: Arrival) -> None:
        """Queues a batch; drops it after :meth:`close`."""
        if self._is_closed:
            arrival.drop(OVER)
        else:
            self._ready.put(arrival)

    def committed(self, batch_id: str, number: int) -> None:
        """Does nothing: :meth:`wait_until_settled` asks the ledger itself."""

    def take(self, timeout_s: float) -> Taken | None:
        """The batches of one update, in order of arrival.

        None if they are not complete in time; those that arrived are kept for the next call.
        """
        while len(self._partial) < self._count:
            try:
                self._partial.append(self._ready.get(timeout=timeout_s))
            except queue.Empty:
                return None
        self._taken, self._partial = self._partial, []
        batches = [arrival.batch for arrival in self._taken]
        return Taken(batches, batches)

    def trained(self, taken: Taken, update: Update) -> None:
        """Marks the batches accepted, now that they are in the weights; the acks follow."""
        self._trained = tuple(batch.header.batch_id for batch in taken.arrived)
        for arrival in self._taken:
            now_s = time.monotonic()
            store = now_s - self._stored_s >= self._log_every_s
            if store:
                self._stored_s = now_s
            arrival.accept(store=store)
        self._taken = []

    def refuse(self, taken: Taken, culprits: Sequence[int]) -> Sequence[Refused]:
        """Sets the culprits aside; the others are the first batches of the next update."""
        found = [self._taken[index] for index in culprits]
        for arrival in found:
            arrival.set_aside(NOT_FINITE)
        self._partial = [arrival for arrival in self._taken if arrival not in found]
        self._taken = []
        return [Refused(arrival.delivery.login, arrival.batch.header.player) for arrival in found]

    def wait_until_settled(self, timeout_s: float = COMMIT_S) -> bool:
        """Waits until the ledger knows the batches of the last update; returns whether it does."""
        deadline_s = time.monotonic() + timeout_s
        while not all(map(self._is_known, self._trained)):
            if time.monotonic() >= deadline_s:
                return False
            time.sleep(0.001)
        return True

    def state(self) -> ReplayState:
        """Empty."""
        return ReplayState()

    def restore(self, checkpoint: Checkpoint | None) -> str:
        """Does nothing: there is nothing to restore."""
        return ""

    def numbers(self) -> Mapping[str, float]:
        """Empty: it has no metrics of its own."""
        return {}

    def start(self) -> None:
        """Does nothing: the updater's thread does all the work."""

    def close(self) -> None:
        """Drops waiting batches and all later ones: the run has reached its last env step."""
        self._is_closed = True
        waiting, self._partial = self._partial, []
        with suppress(queue.Empty):
            while True:
                waiting.append(self._ready.get_nowait())
        for arrival in waiting:
            arrival.drop(OVER)

    def drain(self) -> Sequence[SessionBatch]:
        """Nothing: every accepted batch has been trained on."""
        return ()

    def stop(self) -> None:
        """Does nothing: there is no thread."""
