"""Says that a serial run waits for its environment.

One thread plays and trains, so nothing else can say so while an environment is slow.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

FIRST_S, MOST_S = 10.0, 60.0
"""Seconds of silence before the first line, and the most before a later one."""


class SlowEnvironment:
    """Tells how long the environment has been played, where nothing else is told meanwhile.

    After ten seconds of silence, then after twice as many each time, up to a minute, and a minute
    for the rest of the run: a line every ten seconds would fill the screen with one sentence.

    Args:
        say: Shows a line; called from another thread.
        first_s: Seconds before the first line.
    """

    def __init__(self, say: Callable[[str], None], first_s: float = FIRST_S) -> None:
        self._say = say
        self._after_s = first_s
        self._is_playing = False
        self._waits: tuple[float, str] | None = None
        self._said_s = 0.0
        self._ended = Event()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Inside it, long waits are told."""
        thread = Thread(target=self._watch, name="slow-environment", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join()

    @contextmanager
    def playing(self, what: str) -> Iterator[None]:
        """Inside it, the environment is played.

        Args:
            what: What for, such as ``32 ticks in 8 slots``. The same again is one wait.
        """
        if self._waits is None or self._waits[1] != what:
            self._waits = time.monotonic(), what
        self._is_playing = True
        try:
            yield
        finally:
            self._is_playing = False

    def heard(self) -> None:
        """Call it when a run has something else to tell: waiting is counted anew."""
        self._waits = None

    def _watch(self) -> None:
        while not self._ended.wait(min(1.0, self._after_s / 4)):
            waits, now_s = self._waits, time.monotonic()
            if waits is None or not self._is_playing:
                continue
            since_s, what = waits
            if now_s - max(since_s, self._said_s) < self._after_s:
                continue
            self._said_s = now_s
            self._after_s = min(2 * self._after_s, MOST_S)
            self._say(f"waiting for the environment: {now_s - since_s:.0f} s so far for {what}")
