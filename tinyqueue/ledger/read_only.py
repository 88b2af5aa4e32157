"""SQLite files that are only read: nothing is written beside them where nothing can be."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path


def open_to_read(path: Path) -> sqlite3.Connection:
    """Opens a database that another process may be writing; nothing is changed in it.

    In a folder that cannot be written SQLite cannot make the files that it shares with a writer.
    There it is opened as a file that nobody changes, unless a writer has left its log beside it:
    then SQLite has to find its own files there.

    Raises:
        sqlite3.Error: It cannot be opened.
    """
    immutable = "&immutable=1" if not _is_shared(path) else ""
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro{immutable}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
    )


def _is_shared(path: Path) -> bool:
    """Whether a writer may be at work: its files are there, or could be made."""
    log = path.with_name(f"{path.name}-wal")
    try:
        if log.stat().st_size > 0:
            return True
    except OSError:
        pass
    return is_writable(path.parent) and os.access(path, os.W_OK)


def is_writable(folder: Path) -> bool:
    """Whether files can be made in a folder. Root may everywhere, but not on a read-only mount."""
    return os.access(folder, os.W_OK) and not os.statvfs(folder).f_flag & os.ST_RDONLY
