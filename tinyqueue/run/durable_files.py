"""Files that are complete or absent after a crash: write aside, fsync, rename, fsync the folder."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
from pathlib import Path


def has_no_room(error: OSError) -> bool:
    """Whether the disk or the user's quota is full, which may be temporary."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def write_synced(path: Path, data: bytes) -> None:
    """Writes a file and waits until it is on disk."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync_directory(path: Path) -> None:
    """Waits until the names in a folder are on disk; otherwise a crash may undo a rename."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_file(path: Path, data: bytes) -> None:
    """Replaces a file atomically: readers see the old or the new one, even after a crash.

    Raises:
        OSError: The disk refused it. The old file is untouched.
    """
    aside = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    try:
        write_synced(aside, data)
        aside.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            aside.unlink()
        raise
    sync_directory(path.parent)


def remove_folder(path: Path, hidden_prefix: str) -> None:
    """Renames a folder out of sight in one step, then deletes it.

    Args:
        path: The folder. If it cannot be renamed, or is gone, nothing happens.
        hidden_prefix: Prefix of its name during the deletion, so that an interrupted deletion can
            be recognised and finished later.
    """
    trash = path.with_name(f"{hidden_prefix}{secrets.token_hex(4)}-{path.name.lstrip('.')}")
    with contextlib.suppress(OSError):
        path.rename(trash)
        shutil.rmtree(trash, ignore_errors=True)
