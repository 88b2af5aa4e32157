"""Says that something still goes on which shows nothing by itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

FIRST_S, MOST_S = 15.0, 60.0
"""Seconds before the first line, and the most between later ones."""


@contextmanager
def told_while(what: str, say: Callable[[str], None], first_s: float = FIRST_S) -> Iterator[None]:
    """Inside it, a person is told after a while what is being done, and then ever more seldom.

    Args:
        what: What is being done, such as ``importing TensorFlow``.
        say: Shows a line; called from another thread.
        first_s: Seconds before the first line.
    """
    ended = Event()

    def tell() -> None:
        began_s, pause_s = time.monotonic(), first_s
        while not ended.wait(pause_s):
            say(f"{what}: {time.monotonic() - began_s:.0f} s so far")
            pause_s = min(2 * pause_s, MOST_S)

    thread = Thread(target=tell, name="long-work", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
