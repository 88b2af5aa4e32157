"""Ends of pool children, handed by a worker's main process to the children that live on.

The main process has no connection of its own to a learner, and must not wait for one.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
from dataclasses import asdict

from tinyqueue.player.process_end import ProcessEnd

_MOST_BYTES = 4096


class EndedProcesses:
    """Made before the pool forks. Every end is taken once, by whichever process comes first."""

    def __init__(self) -> None:
        # Datagrams: processes that read at once get whole ones.
        pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._reading, self._writing = (end.detach() for end in pair)
        os.set_blocking(self._reading, False)
        os.set_blocking(self._writing, False)

    def put(self, end: ProcessEnd) -> None:
        """Hands on an end; it is dropped while many wait that nobody takes."""
        with contextlib.suppress(OSError):
            os.write(self._writing, json.dumps(asdict(end)).encode())

    def take(self) -> list[ProcessEnd]:
        """The ends that nobody has taken yet. It does not wait."""
        taken = []
        with contextlib.suppress(BlockingIOError):
            while True:
                taken.append(ProcessEnd(**json.loads(os.read(self._reading, _MOST_BYTES))))
        return taken
