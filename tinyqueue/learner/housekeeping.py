"""What a learner does besides training, on its own thread: feeding players, healing the store."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import structlog

from tinyqueue.errors import TinyqueueError

MOST_UNEXPECTED = 30
"""A chore that raises something unexpected so many times in a row has a defect."""
UNEXPECTED_PAUSE_S = 1.0
"""The shortest pause after an unexpected error, so that this many take half a minute."""

log = structlog.get_logger(__name__)


class Chore:
    """A job that is done periodically. A failure is logged once, and the job is tried again.

    Args:
        name: Its name in the log.
        every_s: Seconds between two runs.
        do: Does the job.
    """

    def __init__(self, name: str, every_s: float, do: Callable[[], object]) -> None:
        self.name = name
        self.every_s = every_s
        self._do = do
        self._due_s = 0.0
        self._failing = False
        self._unexpected = 0

    def run_if_due(self, now_s: float) -> None:
        """Runs the job if its time has come.

        Args:
            now_s: Seconds on the monotonic clock.

        Raises:
            Exception: The job has raised something unexpected :data:`MOST_UNEXPECTED` times in a
                row; this is the last.
        """
        if now_s < self._due_s:
            return
        self._due_s = now_s + self.every_s
        try:
            self._do()
        except TinyqueueError as error:
            self._unexpected = 0
            if not self._failing:
                log.warning("will be tried again", chore=self.name, error=str(error))
            self._failing = True
        except Exception:
            self._unexpected += 1
            if self._unexpected >= MOST_UNEXPECTED:
                raise
            if self._unexpected == 1:
                log.exception("unexpected; will be tried again", chore=self.name)
            self._failing = True
            self._due_s = now_s + max(self.every_s, UNEXPECTED_PAUSE_S)
        else:
            if self._failing:
                log.info("works again", chore=self.name)
            self._failing, self._unexpected = False, 0


class Housekeeping:
    """Runs chores in turn until stopped.

    Attributes:
        error: The defect that ended it; None while there is none.
    """

    def __init__(self, chores: list[Chore]) -> None:
        self._chores = chores
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="housekeeping", daemon=True)
        self.error: BaseException | None = None

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stops the thread, and waits up to 10 s for a chore in progress."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10)

    def _run(self) -> None:
        pause_s = min(chore.every_s for chore in self._chores)
        try:
            while not self._stopping.wait(pause_s):
                for chore in self._chores:
                    chore.run_if_due(time.monotonic())
        except BaseException as error:
            log.exception("housekeeping ended")
            self.error = error
