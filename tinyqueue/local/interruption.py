"""What Ctrl-C does while a run trains: the first one asks for a stop, the next interrupts."""

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
"""Signals within this time count as one: ``timeout`` signals a process and then its whole group,
and a terminal that closes sends several."""
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interruption:
    """Turns Ctrl-C into a request to stop, so that nothing is lost.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._stop: Callable[[], None] | None = None
        self._interrupt: Callable[[], None] | None = None
        self._asked = False
        self._first_s: float | None = None
        self._answers: SimpleQueue[bool] = SimpleQueue()
        """True once Ctrl-C asked for a stop. SimpleQueue, since a handler may interrupt a put."""

    def take(self) -> bool:
        """Whether Ctrl-C was pressed. From the first call on, it no longer raises."""
        self._stop = self._stop or (lambda: None)
        return self._asked

    @contextmanager
    def calls(
        self, stop: Callable[[], None], interrupt: Callable[[], None] | None = None
    ) -> Iterator[None]:
        """Inside it, the first Ctrl-C calls ``stop``, at once if it was pressed before.

        Args:
            stop: Also called by :meth:`ask`.
            interrupt: What a signal calls instead; None: the same.
        """
        self._stop, self._interrupt = stop, interrupt or stop
        if self._asked:
            stop()
        try:
            yield
        finally:
            self._stop = self._interrupt = None

    def ask(self) -> None:
        """Asks for a stop like the first Ctrl-C, and never interrupts. Any thread may call it."""
        self._asked = True
        if self._stop is not None:
            self._stop()

    def handle(self, number: int, frame: FrameType | None) -> None:
        """The signal handler.

        Raises:
            KeyboardInterrupt: Nobody can be asked to stop, or somebody was asked before.
        """
        now_s = self._clock()
        if self._first_s is None:
            self._first_s = now_s
        elif now_s - self._first_s < SAME_S:
            return
        if self._stop is None or self._asked:
            raise KeyboardInterrupt
        self._answers.put(True)
        self._asked = True
        (self._interrupt or self._stop)()

    @contextmanager
    def told(self, view: View) -> Iterator[None]:
        """Inside it, a Ctrl-C that asks for a stop is answered at once.

        This holds even if the present update takes seconds: a thread answers, since the handler may
        have interrupted the view itself.
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
    """Inside it, the interruption handles Ctrl-C, SIGTERM and SIGHUP, in the main thread only.

    SIGHUP is left alone if it is ignored, as under ``nohup``.

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
