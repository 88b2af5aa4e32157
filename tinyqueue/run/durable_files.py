"""Files that are whole or absent after a crash: write aside, fsync, rename, fsync the folder."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
from pathlib import Path


def has_no_room(error: OSError) -> bool:
    """Whether the disk, or somebody's share of it, is full: that may pass."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def write_synced(path: Path, data: bytes) -> None:
    """Writes a new file and waits until the disk has it."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync_directory(path: Path) -> None:
    """Waits until the names in a folder are on the disk: without it a rename may be undone."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_file(path: Path, data: bytes) -> None:
    """Replaces a file so that every reader, now or after a crash, sees the old or the new one."""
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
    """Takes a folder out of sight in one step, then deletes it.

    Args:
        path: The folder. One that cannot be moved, or is gone already, is left alone.
        hidden_prefix: What the name begins with while files are being deleted, so that a
            deletion cut short is recognised and finished later.
    """
    trash = path.with_name(f"{hidden_prefix}{secrets.token_hex(4)}-{path.name.lstrip('.')}")
    with contextlib.suppress(OSError):
        path.rename(trash)
        shutil.rmtree(trash, ignore_errors=True)
