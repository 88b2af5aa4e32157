"""Log lines about what others cause, so that nobody can fill a disk with them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

SAY_AGAIN_S = 60.0


class Seldom:
    """Writes the first of many equal log lines, then one a minute with the number left out.

    Args:
        say: The logger's method.
        event: What has happened.
        clock: Monotonic seconds.
    """

    def __init__(
        self, say: Callable[..., object], event: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._say = say
        self._event = event
        self._clock = clock
        self._said_s: float | None = None
        self._left_out = 0

    def __call__(self, **values: Any) -> None:
        """Says it, unless it was said in the last minute."""
        now_s = self._clock()
        if self._said_s is not None and now_s - self._said_s < SAY_AGAIN_S:
            self._left_out += 1
            return
        more = {"left_out": self._left_out} if self._left_out else {}
        self._said_s, self._left_out = now_s, 0
        self._say(self._event, **values, **more)
