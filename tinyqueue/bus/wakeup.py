"""A socket that wakes a thread waiting on other sockets."""

from __future__ import annotations

import contextlib
import socket


class Wakeup:
    """Any thread rings; one thread waits on :meth:`fileno`. Rings until it clears count as one."""

    def __init__(self) -> None:
        self._hear, self._ring = socket.socketpair()
        self._hear.setblocking(False)
        self._ring.setblocking(False)
        self._rung = False

    def fileno(self) -> int:
        """The socket that becomes readable when rung, for a selector."""
        return self._hear.fileno()

    def ring(self) -> None:
        """Wakes the thread. Call it after the thing to look at is in place."""
        if not self._rung:
            self._rung = True
            # Full: the thread is awake already. Closed: there is none.
            with contextlib.suppress(OSError):
                self._ring.send(b"\0")

    def clear(self) -> None:
        """Resets the ring. Call it before looking, so that a later ring is not missed."""
        with contextlib.suppress(BlockingIOError):
            self._hear.recv(64)
        self._rung = False

    def close(self) -> None:
        """Closes both ends; later rings are ignored."""
        self._hear.close()
        self._ring.close()
