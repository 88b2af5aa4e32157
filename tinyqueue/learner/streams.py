"""A file of JSON lines that is only ever appended to."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tinyqueue.errors import RunDirectoryError
from tinyqueue.learner.json_text import json_line

_TAIL_BYTES = 1 << 16


class LineFile:
    """Appends whole lines. What a crash left of a torn last line is cut off when it is opened.

    Args:
        path: The file, made when absent.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            self._size = _end_of_last_line(self._descriptor)
            os.ftruncate(self._descriptor, self._size)
        except OSError as error:
            raise self._refusal(error) from error

    def append(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Adds the rows in one write.

        Raises:
            RunDirectoryError: The disk does not take them; the file is as it was before.
        """
        data = "".join(f"{json_line(row)}\n" for row in rows).encode()
        written = 0
        try:
            while written < len(data):
                written += os.pwrite(self._descriptor, data[written:], self._size + written)
        except OSError as error:
            os.ftruncate(self._descriptor, self._size)
            raise self._refusal(error) from error
        self._size += written

    def close(self) -> None:
        os.close(self._descriptor)

    def _refusal(self, error: OSError) -> RunDirectoryError:
        return RunDirectoryError(
            f"{self._path} cannot be written: {error.strerror}. Free disk space and resume the run."
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
