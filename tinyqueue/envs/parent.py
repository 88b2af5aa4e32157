"""A process and the one that started it: ending with it, and saying how it ended."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def end_with(parent: int) -> None:
    """Has the kernel kill this process when its parent is gone. Only on Linux.

    Args:
        parent: Process id of the parent, which may already be gone.
    """
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def ending(code: int) -> str:
    """How a process ended, by its exit code as :mod:`subprocess` gives it."""
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"
