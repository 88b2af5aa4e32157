"""The part of a spool that is on disk: one file per session batch, in a folder per stage.

A folder is locked by the player that writes it. Where the lock is free the player is gone, and
the next one that plays for the same run takes over what is left. Files are renamed into place but
not fsynced: they outlive a process, not a power cut.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

from tinyqueue.data.session import SessionBatch
from tinyqueue.errors import MessageError
from tinyqueue.wire.sessions import decode_session, encode_session

_LOCK, _BATCH = "lock", ".session"
_STAGE = re.compile("[0-9a-f]{32}")
# Name of a stage's folder: whatever else is there belongs to somebody else.

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class _File:
    path: Path
    size: int
    stage: str
    n: int


class SpoolFolder:
    """Batches of one experiment on disk, oldest first. For one thread at a time.

    Args:
        root: The worker's folder for spools.
        experiment, run, stage: Whose batches are written.
        most_bytes: Size of all files.
        codec: Compression of the files; a learner accepts no larger messages than these.
    """

    def __init__(
        self, root: Path, experiment: str, run: str, stage: str, most_bytes: int, codec: str
    ) -> None:
        self._root = root / experiment
        self._run, self._stage, self._codec = run, stage, codec
        self._most_bytes = most_bytes
        self._files: deque[_File] = deque()
        self._bytes = 0
        self._held: _File | None = None
        self._locks: dict[Path, int] = {}

    def __len__(self) -> int:
        return len(self._files) + (self._held is not None)

    def adopt(self) -> int:
        """Takes over the batches of players that are gone; returns how many there are.

        Those of other runs are deleted: no learner waits for them any more.
        """
        found: list[_File] = []
        with suppress(OSError):
            for folder in sorted(self._root.iterdir()):
                if not _STAGE.fullmatch(folder.name) or folder in self._locks:
                    continue
                if self._lock(folder):
                    files = _files_in(folder)
                    if files and _run_of(files[0].path) == self._run:
                        found += files
                    else:
                        self._forget(folder)
        for file in found:
            self._add(file)
        return len(found)

    def write(self, batch: SessionBatch) -> list[tuple[str, int]]:
        """Writes a batch behind all others.

        Returns:
            Stage and n of those that were deleted to make room, oldest first.

        Raises:
            OSError: It cannot be written; the batch is not there.
            ConfigError: The batch is larger than a learner accepts.
        """
        encoded = encode_session(batch, self._codec)
        data = b"%b\n%b" % (json.dumps(encoded.headers).encode(), encoded.body)
        folder = self._root / self._stage
        if folder not in self._locks:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not self._lock(folder):
                raise BlockingIOError(f"{folder} is locked by another process")
        deleted = []
        while self._files and self._bytes + len(data) > self._most_bytes:
            oldest = self._files.popleft()
            deleted.append((oldest.stage, oldest.n))
            self._delete(oldest)
        header = batch.header
        path = folder / f"{header.n:012d}{_BATCH}"
        draft = path.with_suffix(".draft")
        try:
            draft.write_bytes(data)
            draft.rename(path)
        except OSError:
            draft.unlink(missing_ok=True)
            raise
        self._add(_File(path, len(data), header.stage, header.n))
        return deleted

    def take(self) -> SessionBatch | None:
        """The oldest batch that can be read, which is kept until :meth:`done`; None without one."""
        while self._files:
            file = self._files.popleft()
            try:
                headers, _, body = file.path.read_bytes().partition(b"\n")
                batch = decode_session(body, json.loads(headers))
            except (OSError, ValueError, MessageError) as error:
                log.warning("a spooled batch cannot be read", file=str(file.path), error=str(error))
                self._delete(file)
            else:
                self._held = file
                return batch
        return None

    def done(self) -> None:
        """Deletes the batch that was taken, if any."""
        file, self._held = self._held, None
        if file is not None:
            self._delete(file)

    def close(self) -> None:
        """Releases what is left to whoever plays next; deletes the folder if nothing is."""
        left = {file.path.parent for file in (*self._files, self._held) if file is not None}
        for folder in list(self._locks):
            if folder in left:
                os.close(self._locks.pop(folder))
            else:
                self._forget(folder)

    def _delete(self, file: _File) -> None:
        self._bytes -= file.size
        with suppress(OSError):
            file.path.unlink()
        folder = file.path.parent
        left = (*self._files, self._held)
        if file.stage != self._stage and not any(f and f.stage == file.stage for f in left):
            self._forget(folder)

    def _add(self, file: _File) -> None:
        self._files.append(file)
        self._bytes += file.size

    def _lock(self, folder: Path) -> bool:
        try:
            lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            return False
        self._locks[folder] = lock
        return True

    def _forget(self, folder: Path) -> None:
        """Deletes a folder and releases its lock."""
        shutil.rmtree(folder, ignore_errors=True)
        lock = self._locks.pop(folder, None)
        if lock is not None:
            os.close(lock)


def _files_in(folder: Path) -> list[_File]:
    return [
        _File(path, path.stat().st_size, folder.name, int(path.stem))
        for path in sorted(folder.glob(f"*{_BATCH}"))
        if path.stem.isdecimal()
    ]


def _run_of(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            run = json.loads(file.readline())["run"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return run if isinstance(run, str) else None
