"""Logs that other processes append to, kept within a bound."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

MOST_BYTES = 16_000_000
"""Of a log; its earlier lines are in ``<name>.1``, which is as large at most."""


def rotate_all(folder: Path) -> None:
    """Rotates every log of a folder that is too large."""
    for log in folder.glob("*.log"):
        rotate(log)


def rotate(log: Path, most_bytes: int = MOST_BYTES) -> bool:
    """Moves a log's content to ``<name>.1`` once it is too large, and returns whether it did.

    It is copied and emptied, not renamed: its writers keep it open, and append. Lines that are
    written in between, within milliseconds, are lost. A disk that fails changes nothing.
    """
    with contextlib.suppress(OSError):
        if log.stat().st_size > most_bytes:
            kept = log.with_name(f"{log.name}.1")
            try:
                shutil.copyfile(log, kept)
            finally:
                # Also if the disk is full, which this log may have caused.
                os.truncate(log, 0)
            return True
    return False
