"""Which run is trained at present: tasks of any other are over before they begin."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

FRESH_S = 0.5
"""How long an answer of the store is believed."""
_MOST_RUNS = 256


class Learners:
    """Asks the store which run of an experiment is trained, for each run at most twice a second.

    Args:
        trained_run: Asks the store; None if there is no learner.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        trained_run: Callable[[str], str | None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._trained_run = trained_run
        self._clock = clock
        self._known: dict[tuple[str, str], tuple[float, str | None]] = {}

    def ended(self, experiment: str, run: str) -> str:
        """Why there is nothing to play for: ``other run``, ``no learner``; empty if there is.

        Raises:
            ServiceUnreachableError: The store does not answer.
        """
        # By run too: the first task of a new one must not be judged by an answer from before.
        known = experiment, run
        asked_s, trained = self._known.get(known, (-math.inf, None))
        if self._clock() - asked_s > FRESH_S:
            trained = self._trained_run(experiment)
            self._known.pop(known, None)
            self._known[known] = (self._clock(), trained)
            if len(self._known) > _MOST_RUNS:
                del self._known[next(iter(self._known))]
        if trained is None:
            return "no learner"
        return "" if trained == run else "other run"
