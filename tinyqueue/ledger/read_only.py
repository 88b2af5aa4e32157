"""Opens SQLite files for reading only, even in folders that cannot be written."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path


def open_to_read(path: Path) -> sqlite3.Connection:
    """Opens a database that another process may be writing to. Nothing in it is changed.

    In a read-only folder, SQLite cannot create the files that it shares with a writer. There the
    database is opened as immutable, unless a writer has left its log beside it: then SQLite needs
    the files that are already there.

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
    """Whether a writer may be active: its files exist, or could be created."""
    log = path.with_name(f"{path.name}-wal")
    try:
        if log.stat().st_size > 0:
            return True
    except OSError:
        pass
    return is_writable(path.parent) and os.access(path, os.W_OK)


def is_writable(folder: Path) -> bool:
    """Whether files can be created in a folder. Not on a read-only mount, even for root."""
    return os.access(folder, os.W_OK) and not os.statvfs(folder).f_flag & os.ST_RDONLY
