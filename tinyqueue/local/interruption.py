"""What Ctrl-C does while a run trains: it asks for a stop first, and only then interrupts."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from types import FrameType

from tinyqueue.monitor.view import View

STOPPING = "stopping: a checkpoint is written first; a second Ctrl-C ends without one"
SAME_S = 1.0
"""Signals within this time are one: ``timeout`` signals a process and then its whole group, and a
terminal that closes sends several."""
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interruption:
    """What Ctrl-C does: nothing is lost when somebody can be asked to stop.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._stop: Callable[[], None] | None = None
        self._asked = False
        self._first_s: float | None = None
        self._answers: SimpleQueue[bool] = SimpleQueue()
        """True once Ctrl-C asked somebody to stop. A handler may interrupt a put by a put."""

    def take(self) -> bool:
        """Whether Ctrl-C came. From the first call on, it no longer raises."""
        self._stop = self._stop or (lambda: None)
        return self._asked

    @contextmanager
    def calls(self, stop: Callable[[], None]) -> Iterator[None]:
        """Inside, Ctrl-C calls ``stop`` the first time; at once where a stop was asked for."""
        self._stop = stop
        if self._asked:
            stop()
        try:
            yield
        finally:
            self._stop = None

    def ask(self) -> None:
        """Asks for a stop as the first Ctrl-C does, and never interrupts. From any thread."""
        self._asked = True
        if self._stop is not None:
            self._stop()

    def handle(self, number: int, frame: FrameType | None) -> None:
        now_s = self._clock()
        if self._first_s is None:
            self._first_s = now_s
        elif now_s - self._first_s < SAME_S:
            return
        if self._stop is None or self._asked:
            raise KeyboardInterrupt
        self._answers.put(True)
        self.ask()

    @contextmanager
    def told(self, view: View) -> Iterator[None]:
        """Inside, a Ctrl-C that asks somebody to stop is answered at once, though the update that
        goes on may take seconds. From a thread: a handler may have interrupted the view itself.
        """

        def tell() -> None:
            if self._answers.get():
                view.message(STOPPING)

        thread = threading.Thread(target=tell, name="tell-stopping", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._answers.put(False)
            thread.join()


@contextmanager
def interruptible(clock: Callable[[], float] = time.monotonic) -> Iterator[Interruption]:
    """Inside, Ctrl-C, SIGTERM and SIGHUP do what the interruption says; in the main thread alone.

    SIGHUP is left alone where it is ignored: ``nohup`` asks for that.

    Args:
        clock: Monotonic seconds.
    """
    interruption = Interruption(clock)
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return
    numbers = [
        number
        for number in SIGNALS
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN
    ]
    before = [signal.signal(number, interruption.handle) for number in numbers]
    try:
        yield interruption
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
