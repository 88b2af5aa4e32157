"""A file of JSON lines that is appended to, and thinned so that it stays within a bound."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import structlog

from tinyqueue.errors import RunDirectoryError
from tinyqueue.run.durable_files import has_no_room, replace_file
from tinyqueue.run.json_text import json_line

MOST_BYTES = 32_000_000
"""CartPole's episodes come to a gigabyte a day: this is reached after three quarters of an hour."""
ONE_OF = "one_of"
"""Key of a line's rate when it was written: one in so many. It may stand for more by now, since
earlier lines are thinned later."""
_TAIL_BYTES = 1 << 16
_MOST_WAITING_BYTES = 1 << 22
_SAY_AGAIN_S = 60.0

log = structlog.get_logger(__name__)


class LineFile:
    """Appends complete lines. An incomplete last line, left by a crash, is cut off on opening.

    At ``most_bytes`` every second line is dropped, and from then on only one in two is written,
    then one in four, and so on: the lines that are left cover the whole run evenly.

    While the disk is full, up to 4 MB of lines wait in memory, and further ones are lost: such
    lines are for people, and a run should not end for them.

    Args:
        path: The file, created if absent.
        most_bytes: Size at which it is thinned.

    Raises:
        RunDirectoryError: The file cannot be opened for writing.
    """

    def __init__(self, path: Path, most_bytes: int = MOST_BYTES) -> None:
        self._path = path
        self._most_bytes = most_bytes
        self._waiting = b""
        self._said_s: float | None = None
        self._passed = 0
        self._thin_from_s = 0.0
        self._left_out: Mapping[str, Any] | None = None
        try:
            self._open()
            os.ftruncate(self._descriptor, self._size)
            self._one_of = _one_of(self._descriptor, self._size)
        except OSError as error:
            raise self._refusal(error) from error

    def append(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Writes the waiting rows and these in one go, or those of them that are due.

        Args:
            rows: One JSON object per line.

        Raises:
            RunDirectoryError: The disk failed; the file is unchanged.
        """
        self._write([row for row in rows if self._is_due(row)])
        if self._size > self._most_bytes:
            self._thin()

    def close(self) -> None:
        """Writes the last row if it was left out, and closes the file.

        Lines that still wait for space are lost.
        """
        try:
            if self._left_out is not None:
                self._write([self._left_out])
        finally:
            os.close(self._descriptor)

    def _open(self) -> None:
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            self._size = _end_of_last_line(descriptor)
        except OSError:
            os.close(descriptor)
            raise
        self._descriptor = descriptor

    def _is_due(self, row: Mapping[str, Any]) -> bool:
        is_due = self._passed % self._one_of == 0
        self._passed += 1
        self._left_out = None if is_due else row
        return is_due

    def _write(self, rows: list[Mapping[str, Any]]) -> None:
        thinned = {ONE_OF: self._one_of} if self._one_of > 1 else {}
        added = "".join(f"{json_line({**row, **thinned})}\n" for row in rows).encode()
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

    def _thin(self) -> None:
        """Drops every second line, the newest excepted; takes 50 ms and is rare."""
        if time.monotonic() < self._thin_from_s:
            return
        lines = os.pread(self._descriptor, self._size, 0).splitlines(keepends=True)
        before = self._descriptor
        try:
            replace_file(self._path, b"".join(lines[::-2][::-1]))
            # Until the new file is open, the old one can still be closed, or thinned again.
            self._open()
        except OSError as error:
            if not has_no_room(error):
                raise self._refusal(error) from error
            self._thin_from_s = time.monotonic() + _SAY_AGAIN_S
            self._say_full()
            return
        self._one_of *= 2
        self._passed = 1
        with suppress(OSError):
            os.close(before)

    def _say_full(self) -> None:
        now_s = time.monotonic()
        if self._said_s is None or now_s - self._said_s >= _SAY_AGAIN_S:
            self._said_s = now_s
            log.warning("no room on the disk: lines wait for it", file=str(self._path))

    def _refusal(self, error: OSError) -> RunDirectoryError:
        return RunDirectoryError(
            f"{self._path} cannot be written: {error.strerror}. Check the disk, then resume."
        )


def _one_of(descriptor: int, end: int) -> int:
    """For how many the file's last line stands."""
    start = max(0, end - _TAIL_BYTES)
    last = os.pread(descriptor, end - start, start).rstrip(b"\n").rpartition(b"\n")[2]
    _, found, number = last.rpartition(f'"{ONE_OF}": '.encode())
    digits = number.rstrip(b"}")
    return max(1, int(digits)) if found and digits.isdigit() else 1


def _end_of_last_line(descriptor: int) -> int:
    end = os.fstat(descriptor).st_size
    while end > 0:
        start = max(0, end - _TAIL_BYTES)
        newline = os.pread(descriptor, end - start, start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0
