"""Processes that environments start within a player: allowed, and not left behind.

Celery's pool makes its children daemonic, so Python refuses them children of their own. Once that
is lifted, only this module ends those children when the player goes.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

_PR_SET_PDEATHSIG = 1
_PROC = Path("/proc")


def allow_children() -> None:
    """Lets environments of this process start processes with ``multiprocessing``."""
    process: Any = multiprocessing.current_process()
    process._config["daemon"] = False


def bind_children() -> None:
    """Has the kernel end processes forked from this one when it ends, however it does (Linux).

    Only those forked by the main thread: the kernel sends its signal when the forking thread ends.
    Programs that are started rather than forked, and children of children, are left to
    :func:`end_children`.
    """
    if not sys.platform.startswith("linux"):
        return
    import ctypes

    prctl = ctypes.CDLL(None).prctl
    parent = os.getpid()
    forks_from_main: list[bool] = [False]

    def before() -> None:
        is_main = threading.current_thread() is threading.main_thread()
        forks_from_main[0] = is_main and os.getpid() == parent

    def in_child() -> None:
        if not forks_from_main[0]:
            return
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            # The parent was gone before the request was made.
            os._exit(1)

    os.register_at_fork(before=before, after_in_child=in_child)


def end_children() -> None:
    """Kills every process that descends from this one (Linux)."""
    children = _children_by_parent()
    doomed = list(children.get(os.getpid(), []))
    for pid in doomed:
        doomed += children.get(pid, [])
    for pid in doomed:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def _children_by_parent() -> dict[int, list[int]]:
    children: dict[int, list[int]] = {}
    for folder in _PROC.glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            # Field 4 of proc(5): the parent.
            children.setdefault(int(fields[1]), []).append(int(folder.name))
    return children
