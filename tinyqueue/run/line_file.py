"""A file of JSON lines that is only ever appended to."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import structlog

from tinyqueue.errors import RunDirectoryError
from tinyqueue.run.durable_files import has_no_room
from tinyqueue.run.json_text import json_line

_TAIL_BYTES = 1 << 16
_MOST_WAITING_BYTES = 1 << 22
_SAY_AGAIN_S = 60.0

log = structlog.get_logger(__name__)


class LineFile:
    """Appends complete lines. An incomplete last line, left by a crash, is cut off on opening.

    While the disk is full, up to 4 MB of lines wait in memory, and further ones are lost: such
    lines are for people, and a run should not end for them.

    Args:
        path: The file, created if absent.

    Raises:
        RunDirectoryError: The file cannot be opened for writing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._waiting = b""
        self._said_s: float | None = None
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            self._size = _end_of_last_line(self._descriptor)
            os.ftruncate(self._descriptor, self._size)
        except OSError as error:
            raise self._refusal(error) from error

    def append(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Writes the waiting rows and these in one go.

        Args:
            rows: One JSON object per line.

        Raises:
            RunDirectoryError: The disk failed; the file is unchanged.
        """
        added = "".join(f"{json_line(row)}\n" for row in rows).encode()
        if len(self._waiting) + len(added) <= _MOST_WAITING_BYTES:
            self._waiting += added
        written = 0
        try:
            while written < len(self._waiting):
                rest = self._waiting[written:]
                written += os.pwrite(self._descriptor, rest, self._size + written)
        except OSError as error:
            os.ftruncate(self._descriptor, self._size)
            if not has_no_room(error):
                raise self._refusal(error) from error
            self._say_full()
            return
        self._size += written
        self._waiting = b""
        self._said_s = None

    def close(self) -> None:
        """Closes the file. Lines that still wait for space are lost."""
        os.close(self._descriptor)

    def _say_full(self) -> None:
        now_s = time.monotonic()
        if self._said_s is None or now_s - self._said_s >= _SAY_AGAIN_S:
            self._said_s = now_s
            log.warning("no room on the disk: lines wait for it", file=str(self._path))

    def _refusal(self, error: OSError) -> RunDirectoryError:
        return RunDirectoryError(
            f"{self._path} cannot be written: {error.strerror}. Check the disk, then resume."
        )


def _end_of_last_line(descriptor: int) -> int:
    end = os.fstat(descriptor).st_size
    while end > 0:
        start = max(0, end - _TAIL_BYTES)
        newline = os.pread(descriptor, end - start, start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0
