"""What the processes of one worker share: that it ends, what it refused, and who has ended.

Made before the pool forks.
"""

from __future__ import annotations

import mmap
import os
import select
import struct
import time

from tinyqueue.local.ended_processes import EndedProcesses

REFUSALS = 6
"""A worker that has refused so many tasks in a row, and played none, ends itself, …"""
REFUSING_S = 30.0
"""… if that has been going on for at least so long."""

_LAYOUT = struct.Struct("qd")


class WorkerWide:
    """Shared by a worker's main process and its pool children.

    Attributes:
        ended: Children that have ended in the middle of a task.
    """

    def __init__(self) -> None:
        self.ended = EndedProcesses()
        self._reading, self._writing = os.pipe()
        os.set_blocking(self._writing, False)
        self._shared = mmap.mmap(-1, _LAYOUT.size)

    def rest(self, for_s: float) -> None:
        """Waits, but not longer than the worker lives."""
        select.select([self._reading], [], [], for_s)

    def end_rests(self) -> None:
        """Ends the rests of all processes, also later ones: the worker is ending."""
        # Nobody reads it, so that everybody finds it.
        os.write(self._writing, b".")

    def is_ending(self) -> bool:
        """Whether the worker is ending."""
        return bool(select.select([self._reading], [], [], 0.0)[0])

    def played(self) -> None:
        """Notes that a process has played a task."""
        _LAYOUT.pack_into(self._shared, 0, 0, 0.0)

    def refused(self) -> bool:
        """Notes that a process has refused a task that this machine cannot play.

        Returns:
            Whether the worker is of no use to anybody.
        """
        count, first_s = _LAYOUT.unpack_from(self._shared)
        now_s = time.monotonic()
        first_s = first_s if count else now_s
        # Two processes at once may count as one.
        _LAYOUT.pack_into(self._shared, 0, count + 1, first_s)
        return bool(count + 1 >= REFUSALS and now_s - first_s >= REFUSING_S)
