"""What a learner may do while Redis is away, and what it says about that."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from tinyqueue.connection_faults import REFUSED
from tinyqueue.errors import (
    LeaseNotRenewedError,
    NotNowError,
    ServiceUnreachableError,
    TinyqueueError,
)
from tinyqueue.run.run_directory import RunDirectory
from tinyqueue.store.lease import LearnerLease

SAY_AGAIN_S = 20.0
"""Between two messages about the same outage."""
SAY_AFTER_S = 3.0
"""Weights that wait for less are no outage."""
ASK_AGAIN_S = 0.5
"""Between two tries of what a learner needs before it can begin."""
MOST_WAITING = 8
"""Versions that may wait to be published while training on what players send: it is played with
the last one that was, and the further the two are apart, the less can be learned from it."""

T = TypeVar("T")


class Standing:
    """A learner's standing: whether it leads its experiment, rests, or has been replaced.

    While its lease cannot be renewed it *rests*: it trains on what it has in hand, and neither
    publishes, records nor acks anything until the lease is renewed. Once several versions wait to
    be published it *holds*: players are too many versions behind to train on what they send.

    Args:
        lease: The lease.
        run: The run directory, locked by this process.
        say: Shows the user a message.
        stopping: Set once the learner is to end.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        lease: LearnerLease,
        run: RunDirectory,
        say: Callable[[str], None],
        stopping: threading.Event,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lease = lease
        self._run = run
        self._say = say
        self._stopping = stopping
        self._clock = clock
        self._waits_to_begin = self._is_ending = False
        self._replaced: TinyqueueError | None = None
        self._away_since_s: float | None = None
        self._say_at_s = 0.0
        self._has_said, self._said_does = False, ""
        self._waiting, self._why = 0, ""
        self._said_of_lease = False
        self.may_hold = True
        """False with a replay: what it has is as good as before."""

    @property
    def rests(self) -> bool:
        """Whether the lease waits to be renewed, or is over."""
        return self._replaced is not None or not self._lease.is_valid

    def replaced(self, error: TinyqueueError) -> None:
        """Notes that the store has refused a write, because another learner has taken over."""
        self._replaced = error

    def require_lease(self) -> None:
        """Does nothing while this learner may publish.

        Raises:
            LeaseNotRenewedError: Not now.
            LeaseLostError: Another learner has replaced this one.
        """
        self._lease.check()

    def require_not_replaced(self) -> None:
        """Does nothing while this learner may go on, if only to wait.

        Raises:
            LeaseLostError, StaleEpochError: Another learner has replaced this one.
        """
        if self._replaced is not None:
            raise self._replaced
        if self._lease.is_replaced:
            self._lease.check()

    def require_record(self) -> None:
        """Does nothing while this learner may record in the ledger what it has trained on.

        That is while its lease is valid, and once more when it ends: the ledger is in the run
        directory, which is locked, so no other learner can have accepted these batches. Without
        them in the ledger, the last checkpoint could not be written.

        Raises:
            LeaseNotRenewedError: Not now.
            LeaseLostError: Another learner has taken the run directory.
        """
        if self._lease.is_valid or (self._is_ending and self.owns_run):
            return
        if self.owns_run:
            raise LeaseNotRenewedError(
                "the lease is not renewed: nothing is recorded until it is, or this learner ends"
            )
        self._lease.check()

    @property
    def owns_run(self) -> bool:
        """Whether the run directory is still this learner's to write.

        A learner of another run may have replaced it. One of the same run can only where the
        directory's lock does not hold; it has reserved a higher epoch there.
        """
        return self._lease.is_valid or not self._run.is_taken

    def end(self) -> None:
        """Notes that training is over: what is in hand is recorded now, or never."""
        self._is_ending = True

    def once_it_answers(self, do: Callable[[], T]) -> T:
        """Does what a learner needs of Redis before it can begin, as soon as that is possible.

        Args:
            do: Asks Redis.

        Raises:
            NotNowError: Redis refuses it for a reason that lasts, or the learner is to end.
            LeaseLostError, StaleEpochError: Another learner has replaced this one.
        """
        self._waits_to_begin = True
        try:
            while True:
                try:
                    done = do()
                except NotNowError as error:
                    lasts = isinstance(error, ServiceUnreachableError) and error.kind in REFUSED
                    if lasts or self._stopping.is_set() or self._lease.stop_requested:
                        raise
                    self._why = str(error)
                else:
                    self._why = ""
                    self.tell()
                    return done
                self.require_not_replaced()
                self.tell()
                self._stopping.wait(ASK_AGAIN_S)
        finally:
            self._waits_to_begin = False

    def waiting(self, number: int, why: str) -> None:
        """Notes how many weight versions wait to be published, and why; from any thread."""
        self._waiting, self._why = number, why

    @property
    def holds(self) -> bool:
        """Whether players are too many versions behind to train on what they send."""
        return self.may_hold and self._waiting >= MOST_WAITING

    @property
    def waits(self) -> bool:
        """Whether it rests or holds, so that players need not play."""
        return self.rests or self.holds

    def tell(self) -> None:
        """Tells the user while Redis takes no lease or no weights, and when it does again."""
        trouble, now_s = self._lease.trouble or self._why, self._clock()
        if not trouble:
            if self._has_said and self._away_since_s is not None:
                goes_on = "the run begins" if self._waits_to_begin else "training goes on"
                self._say(f"Redis works again after {now_s - self._away_since_s:.0f} s; {goes_on}")
            self._away_since_s, self._has_said = None, False
            return
        if self._away_since_s is None:
            self._away_since_s = now_s
        since_s, does = now_s - self._away_since_s, self._does()
        if self._has_said:
            # Once the lease is renewed, weights follow within a second.
            is_news = does != self._said_does and bool(self._lease.trouble) >= self._said_of_lease
            is_due = now_s >= self._say_at_s or is_news
        else:
            # Weights alone may wait for a moment.
            is_due = bool(self._lease.trouble) or since_s >= SAY_AFTER_S
        if is_due:
            if self._lease.trouble:
                since_s = self._lease.renewed_ago_s
            self._has_said, self._said_does = True, does
            self._said_of_lease = bool(self._lease.trouble)
            self._say_at_s = now_s + SAY_AGAIN_S
            self._say(f"{trouble.rstrip('.')}. Since {since_s:.0f} s: {does}")

    def _does(self) -> str:
        """What becomes of training for as long as this lasts."""
        if self._waits_to_begin:
            return "the run begins when it works again"
        if self.rests:
            return "nothing is accepted or published until it works again; training waits for that"
        if self.holds:
            return "weights are published when it works again; training waits for that"
        return "weights are published when it works again; training goes on"
