"""How long to wait: after a refusal by a full queue, and between attempts to reach a broker."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

FRACTION = 1.3
"""The first pause, as a fraction of the time between two acceptances. A refused body has travelled
for nothing. Measured with two players and a learner that takes 4.4 ms per batch, with room for two
waiting batches: 0.3 costs three refusals per message and 0.8 one; with 1.2 the learner is idle for
8 % of the time. The throughput benchmark has room for three, and was fastest with this value."""

ASK_FRACTION = 0.5
"""The same where the broker was only asked whether there is room."""

GROWTH = 1.25
"""Factor from one refusal in a row to the next."""


class Backoff:
    """Pauses for a publisher whose queue is full.

    A fast learner is tried again within milliseconds, and a slow one is left alone: every
    refused session batch has travelled to the broker for nothing.

    Args:
        least_s, most_s: Bounds of a pause, before jitter of ±50 %.
        jitter: Returns a number in [0, 1). The default uses its own generator, since ``random`` is
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
        """Notes that a publish was confirmed."""
        now_s = self._clock()
        if self._accepted_s is not None:
            # A long rest between two tasks says little about the learner.
            since_s = min(now_s - self._accepted_s, 10 * self._most_s)
            self._interval_s += 0.2 * (since_s - self._interval_s)
        self._accepted_s = now_s
        self._refusals = 0

    def refused(self, *, was_sent: bool = True) -> float:
        """Notes that a publish was not confirmed; returns the seconds to wait before the next.

        Args:
            was_sent: Whether the body has travelled, and not only the question for room.
        """
        fraction = FRACTION if was_sent else ASK_FRACTION
        # Bounded, since a queue may be full for hours: its power is 1.6 million already.
        wanted_s = fraction * self._interval_s * GROWTH ** min(self._refusals, 64)
        self._refusals += 1
        return min(self._most_s, max(self._least_s, wanted_s)) * (0.5 + self._jitter())


class Reconnects:
    """Pauses between attempts to reach a broker that does not answer.

    The longest possible pause doubles with every failure, up to ``most_s``, and each pause is drawn
    evenly from zero to that ("full jitter"), so that the clients of a broker that returns do not
    come all at once.

    Args:
        first_s, most_s: The longest pause after the first failure, and after many.
        jitter: Returns a number in [0, 1), as for :class:`Backoff`.
    """

    def __init__(
        self,
        first_s: float = 0.25,
        most_s: float = 5.0,
        *,
        jitter: Callable[[], float] | None = None,
    ) -> None:
        self._first_s = first_s
        self._most_s = most_s
        self._jitter = jitter or random.Random().random
        self._failures = 0

    def failed(self) -> float:
        """Notes a failure; returns the seconds to wait before the next attempt."""
        longest_s = min(self._most_s, self._first_s * 2.0 ** min(self._failures, 32))
        self._failures += 1
        return longest_s * self._jitter()

    def succeeded(self) -> None:
        """Notes that the broker answers."""
        self._failures = 0
