"""What the user reads while no experience can be consumed from the broker."""

from __future__ import annotations

import time
from collections.abc import Callable

SAY_AFTER_S = 3.0
"""A connection that is lost and made again sooner is no outage. Trouble with the same server as a
store is known by then."""


class BrokerOutage:
    """Tells the user once that the broker cannot be reached, and once that it can be again.

    Args:
        address: The broker's, without login and password.
        trouble: Why it cannot be consumed from; empty while it can.
        say: Shows the user a message.
        is_told: Whether an outage of the same server is told of already.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        address: str,
        trouble: Callable[[], str],
        say: Callable[[str], None],
        *,
        is_told: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._address = address
        self._trouble = trouble
        self._say = say
        self._is_told = is_told
        self._clock = clock
        self._since_s: float | None = None
        self._has_said = False

    def tell(self) -> None:
        """Tells what has changed, if anything; call it often."""
        trouble, now_s = self._trouble(), self._clock()
        if not trouble:
            if self._has_said and self._since_s is not None:
                self._say(
                    f"the broker at {self._address} can be reached again after "
                    f"{now_s - self._since_s:.0f} s"
                )
            self._since_s, self._has_said = None, False
            return
        if self._since_s is None:
            self._since_s = now_s
        if self._has_said or now_s - self._since_s < SAY_AFTER_S or self._is_told():
            return
        self._has_said = True
        self._say(
            f"the broker at {self._address} cannot be reached ({trouble}); experience waits with "
            "the players"
        )
