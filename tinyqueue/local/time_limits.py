"""Time limits of a task, watched by the process that plays it and by nobody else.

Only that process knows when its task begins and ends. A limit that the worker's main process
enforced could strike after the task, see :mod:`tinyqueue.bus.worker_request`.
"""

from __future__ import annotations

import faulthandler
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TextIO

from celery.exceptions import SoftTimeLimitExceeded

_SIGNAL = signal.SIGUSR1
# What Celery's pool itself uses for this.

_armed: list[float] = []
# The soft limit that is watched at present.


@contextmanager
def time_limits(soft_s: float, hard_s: float) -> Iterator[None]:
    """Inside it, a task that takes too long is interrupted, and its process ended if that fails.

    It works in the main thread, and does nothing in others.

    Args:
        soft_s: Seconds after which SoftTimeLimitExceeded is raised in the main thread, between two
            bytecodes or out of a system call.
        hard_s: Seconds after which the process prints where each thread is and exits with code 1,
            even if C code never returns.

    Raises:
        SoftTimeLimitExceeded: The time is up.
    """
    main = threading.main_thread()
    if threading.current_thread() is not main:
        yield
        return
    # Never restored: a signal that is under way must not meet a handler that raises, later.
    signal.signal(_SIGNAL, _strike)
    watch = threading.Timer(soft_s, signal.pthread_kill, (main.ident, _SIGNAL))
    watch.daemon = True
    try:
        try:
            _armed.append(soft_s)
            watch.start()
            faulthandler.dump_traceback_later(hard_s, exit=True, file=_terminal())
            yield
        finally:
            # The limit may strike until this is done, and it strikes once.
            _armed.clear()
    finally:
        _armed.clear()
        watch.cancel()
        faulthandler.cancel_dump_traceback_later()


def _strike(number: int, frame: FrameType | None) -> None:
    if _armed:
        raise SoftTimeLimitExceeded(_armed[0])


def _terminal() -> TextIO:
    assert sys.__stderr__ is not None
    return sys.__stderr__
