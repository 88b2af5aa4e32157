"""An alarm for environments that do not return.

It is a Python signal handler: it runs between two bytecodes and interrupts a system call, such as
a wait for a socket. What hangs in C code, or catches every exception, is left to the task's time
limit.
"""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType, TracebackType
from typing import ClassVar

from tinyqueue.envs.faults import HangError

HANG_S = 30.0
"""How long one call of an environment may take by default."""


class Alarm:
    """Watches calls of environments, one after another, within a ``with``.

    It works only in the main thread of a process, and does nothing elsewhere. The timer is left
    running from one ``with`` to the next, since four system calls per vector step cost 13 µs
    (measured); if it expires between two calls, nothing happens.

    Args:
        most_s: How long one call may take; :data:`HANG_S` if None.

    Attributes:
        began_s: When the present call began, on the monotonic clock; None between calls. Set it
            before each call.
    """

    _installed: ClassVar[Alarm | None] = None
    # The owner of the process's only SIGALRM handler.

    def __init__(self, most_s: float | None) -> None:
        self._most_s = HANG_S if most_s is None else most_s
        self.began_s: float | None = None
        self._is_running = False

    def __enter__(self) -> None:
        if self._is_running and Alarm._installed is self:
            return
        if threading.current_thread() is threading.main_thread() and hasattr(signal, "SIGALRM"):
            if Alarm._installed is None and signal.getsignal(signal.SIGALRM) != signal.SIG_DFL:
                # Another library's alarm is left alone.
                return
            signal.signal(signal.SIGALRM, self._strike)
            Alarm._installed = self
            self._run(self._most_s)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.began_s = None

    def allow(self, most_s: float) -> None:
        """Sets how long one call may take from now on."""
        if most_s == self._most_s:
            return
        self._most_s = most_s
        if Alarm._installed is self and self._is_running:
            self._run(most_s)

    def end(self) -> None:
        """Removes the timer and the handler."""
        if Alarm._installed is self and threading.current_thread() is threading.main_thread():
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            Alarm._installed = None
        self._is_running = False

    def _run(self, for_s: float) -> None:
        self._is_running = True
        signal.setitimer(signal.ITIMER_REAL, for_s)

    def _strike(self, number: int, frame: FrameType | None) -> None:
        if self.began_s is None:
            self._is_running = False
            return
        left_s = self.began_s + self._most_s - time.monotonic()
        # An environment that catches this is interrupted again.
        self._run(left_s if left_s > 0 else self._most_s)
        if left_s <= 0:
            raise HangError(self._most_s)
