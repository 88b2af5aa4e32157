"""How long to wait after a refusal, learnt from how long it takes to be accepted."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

FRACTION = 1.3
"""Of the time between two acceptances. A refused body has travelled for nothing. Measured with
two players before a learner that takes 4.4 ms per batch, two of which may wait: 0.3 costs three
refusals per message, 0.8 one; 1.2 lets the learner wait for 8 % of the time. The throughput
benchmark lets three wait instead, and was fastest so."""

GROWTH = 1.25
"""From one refusal in a row to the next."""


class Backoff:
    """Pauses of a publisher that meets a full queue.

    A fast learner is asked again within milliseconds, and a slow one is left alone: every
    refused session batch has been carried to the broker for nothing.

    Args:
        least_s, most_s: Bounds of a pause, before jitter of one half.
        jitter: A number from [0, 1); by default from a generator of its own, since ``random`` is
            seeded for environments.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        least_s: float = 0.002,
        most_s: float = 0.1,
        *,
        jitter: Callable[[], float] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._least_s = least_s
        self._most_s = most_s
        self._jitter = jitter or random.Random().random
        self._clock = clock
        self._interval_s = least_s
        self._accepted_s: float | None = None
        self._refusals = 0

    def accepted(self) -> None:
        """A publish was confirmed."""
        now_s = self._clock()
        if self._accepted_s is not None:
            # One long rest between two tasks says little.
            since_s = min(now_s - self._accepted_s, 10 * self._most_s)
            self._interval_s += 0.2 * (since_s - self._interval_s)
        self._accepted_s = now_s
        self._refusals = 0

    def refused(self) -> float:
        """A publish was not confirmed; how many seconds to wait before the next."""
        wanted_s = FRACTION * self._interval_s * GROWTH**self._refusals
        self._refusals += 1
        return min(self._most_s, max(self._least_s, wanted_s)) * (0.5 + self._jitter())
