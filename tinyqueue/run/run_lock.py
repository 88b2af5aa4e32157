"""One process per run directory: an flock that ends with the process, however it ends."""

from __future__ import annotations

import fcntl
import os
import socket
from pathlib import Path

from tinyqueue.errors import RunDirectoryError


class RunLock:
    """Holds the lock of a run directory until :meth:`release` or the end of the process.

    Args:
        directory: The run directory, which must exist.

    Raises:
        RunDirectoryError: Another process holds it (the message names its pid and host), or the
            lock file cannot be opened.
    """

    def __init__(self, directory: Path) -> None:
        path = directory / "lock"
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise RunDirectoryError(
                f"{directory} cannot be locked: {error.strerror}. "
                "Correct the path or its permissions."
            ) from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._descriptor, 200, 0).decode("utf-8", "replace").strip()
            os.close(self._descriptor)
            raise RunDirectoryError(
                f"{directory} is in use by {holder or 'another process'}. "
                "Stop that learner, or start a new run."
            ) from None
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"pid {os.getpid()} on {socket.gethostname()}\n".encode(), 0)

    def release(self) -> None:
        """Releases the lock. Calling it again does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
