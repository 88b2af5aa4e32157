"""What Ctrl-C does while a run trains: it asks for a stop first, and only then interrupts."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from types import FrameType

from tinyqueue.monitor.view import View

STOPPING = "stopping: a checkpoint is written first; a second Ctrl-C ends without one"


class Interruption:
    """What Ctrl-C does: nothing is lost when somebody can be asked to stop."""

    def __init__(self) -> None:
        self._stop: Callable[[], None] | None = None
        self._asked = False
        self._answers: SimpleQueue[bool] = SimpleQueue()
        """True once Ctrl-C asked somebody to stop. A handler may interrupt a put by a put."""

    def take(self) -> bool:
        """Whether Ctrl-C came. From the first call on, it no longer raises."""
        self._stop = self._stop or (lambda: None)
        return self._asked

    @contextmanager
    def calls(self, stop: Callable[[], None]) -> Iterator[None]:
        """Inside, Ctrl-C calls ``stop`` the first time."""
        self._stop = stop
        try:
            yield
        finally:
            self._stop = None

    def handle(self, number: int, frame: FrameType | None) -> None:
        if self._stop is None or self._asked:
            raise KeyboardInterrupt
        self._asked = True
        self._answers.put(True)
        self._stop()

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
def interruptible() -> Iterator[Interruption]:
    """Inside, Ctrl-C and SIGTERM do what the interruption says; in the main thread alone."""
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, interruption.handle) for number in numbers]
    try:
        yield interruption
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
