"""How far players may be ahead of training: a credit for each session batch that they begin.

With U batches per update and a lag of k updates, U·(k + 1) batches may be played and not yet
trained on. A credit comes back when its batch has been trained on and the new weights are
published, or when the batch is dropped or set aside; then another is issued, for that version or a
newer one. In their order of issue, at most U·(k + 1) − 1 other batches are trained on before its
own, so at most k updates lie between. With k = 0 no other order is possible: players wait for each
version, as algorithms on policy demand. With more, a batch that takes much longer than others is
overtaken, and lags by more.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable

import structlog

from tinyqueue.bus.messages import Delivery, Settle
from tinyqueue.errors import TinyqueueError
from tinyqueue.experiment.experiment import Experiment
from tinyqueue.experiment.play_spec import PlaySpec
from tinyqueue.ledger.marks import Mark
from tinyqueue.store.credits import Credit, CreditStore

LOOK_S = 0.25
"""Seconds between two looks for credits that have been lost."""
GRACE_S = 10.0
"""Added to what a batch may take to play: for an environment's reset, and a confirm."""
SLOWEST = 3.0
"""A batch may take so many times as long as the slowest one lately."""
_FADING = 0.98
_NUMBER_BITS = 62
"""Numbers are random: no login can give back what another has taken."""

log = structlog.get_logger(__name__)


class Credits:
    """Issues credits, and replaces those that were lost with a player or by Redis.

    A credit that was taken, and whose batch has not come within three times the slowest batch
    and ten seconds, is lost. Should its batch come after all, players are ahead by one more.

    Args:
        store: Where players take credits.
        batches: Batches that may be played and not yet trained on.
        head: Returns the newest published version.
        patience_s: What a batch may take before the first one has come.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        store: CreditStore,
        *,
        batches: int,
        head: Callable[[], int],
        patience_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._batches = batches
        self._head = head
        self._patience_s = patience_s
        self._clock = clock
        self._slowest_s = 0.0
        self._lock = threading.Lock()
        self._issued: dict[int, float | None] = {}
        """Number → when it was first seen to be taken; None: not yet. In order of issue."""
        self._unsent: list[Credit] = []
        self.lost = 0
        """Credits that were replaced."""

    def begin(self) -> None:
        """Issues the first credits; those of an earlier learner are void.

        Raises:
            ServiceUnreachableError: The store does not answer.
        """
        self._store.clear()
        for _ in range(self._batches):
            self._issue()

    def of_batch(
        self, number: int, play_s: float, settle: Settle[Mark | None]
    ) -> Settle[Mark | None]:
        """Notes that a batch has come.

        Args:
            number: Its credit; 0 if it was played without one.
            play_s: Seconds that it took to play.
            settle: Ends its delivery.

        Returns:
            ``settle``, after which its credit is issued again.
        """
        with self._lock:
            slowest_s = max(play_s, self._slowest_s * _FADING)
            self._slowest_s = min(slowest_s, self._patience_s)
            if number not in self._issued:
                return settle
            # In hand: it cannot be lost any more.
            del self._issued[number]

        def settle_and_issue(
            delivery: Delivery, mark: Mark | None, set_aside: str | None = None
        ) -> None:
            settle(delivery, mark, set_aside)
            self._issue()

        return settle_and_issue

    def look(self) -> None:
        """Sends what the store did not take before, and replaces what was lost. For one thread.

        Raises:
            ServiceUnreachableError: The store does not answer; try again later.
        """
        while self._unsent:
            self._store.append(self._unsent[0])
            with self._lock:
                del self._unsent[0]
        waiting = self._store.waiting()
        lost = self._find_lost(waiting)
        for _ in range(lost):
            self._issue()
        if lost:
            self.lost += lost
            log.info("credits of batches that have not come are issued again", credits=lost)

    def _find_lost(self, waiting: int) -> int:
        """Forgets credits whose batches should have come by now; returns how many there were."""
        now_s = self._clock()
        with self._lock:
            lasts_s = GRACE_S + SLOWEST * self._slowest_s if self._slowest_s else self._patience_s
            taken, lost = len(self._issued) - waiting, 0
            # Players take the oldest first.
            for place, (number, since_s) in enumerate(list(self._issued.items())):
                if place >= taken:
                    self._issued[number] = None
                elif since_s is None:
                    self._issued[number] = now_s
                elif now_s - since_s > lasts_s:
                    del self._issued[number]
                    lost += 1
            return lost

    def _issue(self) -> None:
        """Issues one credit, or leaves it to :meth:`look` while the store does not answer."""
        with self._lock:
            credit = Credit(1 + secrets.randbits(_NUMBER_BITS), max(0, self._head()))
            self._issued[credit.number] = None
            if self._unsent:
                self._unsent.append(credit)
                return
        try:
            self._store.append(credit)
        except TinyqueueError as error:
            log.warning("credits wait for the store", error=str(error))
            with self._lock:
                self._unsent.append(credit)


def make_credits(
    store: CreditStore, experiment: Experiment, spec: PlaySpec, head: Callable[[], int]
) -> Credits | None:
    """What bounds how far players are ahead; None if the experiment does not say how far.

    Args:
        store: Where players take credits.
        experiment: The experiment.
        spec: What its players play.
        head: Returns the newest published version.
    """
    learner = experiment.learner
    if learner.lag is None or not spec.credits:
        return None
    return Credits(
        store,
        batches=learner.batches_per_update * (learner.lag + 1),
        head=head,
        patience_s=spec.task_limit_s,
    )
