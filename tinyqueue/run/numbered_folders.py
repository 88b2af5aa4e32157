"""Folders 1, 2, 3, …: a new one appears complete, under a number that no other process takes."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import time
from collections.abc import Mapping
from itertools import count
from pathlib import Path

from tinyqueue.data.identity import new_id
from tinyqueue.run.durable_files import sync_directory, write_synced
from tinyqueue.run.run_lock import RunLock

_NUMBER = re.compile(r"^[1-9][0-9]{0,8}$")
_DRAFT = ".new-"
_DRAFT_IS_STALE_S = 60.0


def appear(parent: Path, files: Mapping[str, bytes]) -> tuple[Path, RunLock]:
    """Creates the folder with the next free number, and locks it.

    It appears complete and locked, or not at all.

    Args:
        parent: The folder of the numbered ones; created if absent.
        files: Name → content. A name may be ``folder/file``.

    Returns:
        The new folder and its lock.

    Raises:
        OSError: The disk refused it.
    """
    parent.mkdir(parents=True, exist_ok=True)
    _remove_stale_drafts(parent)
    draft = parent / f"{_DRAFT}{new_id()[:12]}"
    draft.mkdir(parents=True)  # A rejected run may have removed the empty parent again.
    lock = RunLock(draft)
    try:
        for name, data in files.items():
            path = draft / name
            path.parent.mkdir(exist_ok=True)
            write_synced(path, data)
            sync_directory(path.parent)
        sync_directory(draft)
        return rename_to_next_number(draft, parent), lock
    except BaseException:
        lock.release()
        shutil.rmtree(draft, ignore_errors=True)
        raise


def numbers(parent: Path) -> list[int]:
    """The numbers of the runs in a folder, unordered; empty if the folder is absent."""
    if not parent.is_dir():
        return []
    return [
        int(name)
        for name in os.listdir(parent)
        if _NUMBER.fullmatch(name) and (parent / name / "run.json").is_file()
    ]


def rename_to_next_number(folder: Path, parent: Path) -> Path:
    """Gives a folder the next free number in ``parent``, on the same disk.

    Returns:
        Its new path.

    Raises:
        OSError: The disk refused it.
    """
    for number in count(max(numbers(parent), default=0) + 1):
        path = parent / str(number)
        try:
            folder.rename(path)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise
        else:
            sync_directory(path.parent)
            return path
    raise AssertionError("numbers never end")


def _remove_stale_drafts(parent: Path) -> None:
    for draft in parent.glob(f"{_DRAFT}*"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - draft.stat().st_mtime > _DRAFT_IS_STALE_S:
                shutil.rmtree(draft, ignore_errors=True)
