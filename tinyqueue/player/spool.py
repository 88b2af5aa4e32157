"""Finished session batches that wait to be published: in memory, and beyond that on disk."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import replace

import structlog

from tinyqueue.data.session import Drop, SessionBatch
from tinyqueue.data.spaces import Arrays
from tinyqueue.errors import ConfigError
from tinyqueue.player.spool_folder import SpoolFolder

REASON = "spool full"
"""Reason of the drops."""

_RETRY_S = 60.0
# After an error of the disk.

log = structlog.get_logger(__name__)


class Spool:
    """Batches in the order in which they were played, bounded in bytes.

    The thread of the environment puts in; another one takes out and moves batches to disk. To put
    in never waits for that: when memory is full, the oldest batch in it is dropped.

    Args:
        memory_bytes: Bound of what is in memory; one batch is kept however large it is.
        folder: Takes what exceeds half of that; None: nothing.
        stage: Id of the stage.
    """

    def __init__(self, memory_bytes: int, folder: SpoolFolder | None, stage: str) -> None:
        self._memory_bytes = memory_bytes
        self._folder = folder
        self._stage = stage
        self._memory: deque[tuple[SessionBatch, int]] = deque()
        self._bytes = 0
        self._in_hand: SessionBatch | None = None
        self._is_on_disk = False
        self._dropped: list[Drop] = []
        self._has_said = False
        self._retry_s = 0.0
        self._filled = threading.Condition()
        self._disk = threading.Lock()
        if folder is not None and (found := folder.adopt()):
            log.info("batches of an earlier player are published first", batches=found)

    def __len__(self) -> int:
        on_disk = len(self._folder) if self._folder is not None else 0
        in_hand = self._in_hand is not None and not self._is_on_disk
        return on_disk + len(self._memory) + in_hand

    def put(self, batch: SessionBatch) -> None:
        """Adds a copy of a batch, whose arrays may be overwritten afterwards. Never waits."""
        copy, size = copied(batch), size_of(batch)
        with self._filled:
            while self._memory and self._bytes + size > self._memory_bytes:
                oldest, freed = self._memory.popleft()
                self._bytes -= freed
                self._drop(oldest.header.stage, oldest.header.n)
            self._memory.append((copy, size))
            self._bytes += size
            self._filled.notify()

    def oldest(self, wait_s: float) -> SessionBatch | None:
        """The oldest batch, which is not dropped from now on; the same until :meth:`done`.

        Args:
            wait_s: How long to wait for one.
        """
        if self._in_hand is not None:
            return self._in_hand
        with self._disk:
            self._in_hand = self._folder.take() if self._folder is not None else None
            self._is_on_disk = self._in_hand is not None
        if self._in_hand is None:
            with self._filled:
                if not self._memory:
                    self._filled.wait(wait_s)
                if self._memory:
                    self._in_hand, size = self._memory.popleft()
                    self._bytes -= size
        return self._in_hand

    def done(self) -> None:
        """Removes the batch that :meth:`oldest` has returned."""
        if self._is_on_disk and self._folder is not None:
            with self._disk:
                self._folder.done()
        self._in_hand, self._is_on_disk = None, False
        if not len(self):
            self._has_said = False

    def take_dropped(self) -> list[Drop]:
        """The batches of this stage that were dropped since the last call."""
        with self._filled:
            dropped, self._dropped = self._dropped, []
        return dropped

    def spill(self) -> None:
        """Moves the oldest batches to disk until memory is at most half full."""
        self._to_disk(self._memory_bytes // 2)

    def save(self) -> int:
        """Moves all batches to disk for the next player; returns how many could not be.

        For the end of the stage: nothing else may be called afterwards.
        """
        batch = self._in_hand
        if batch is not None and not self._is_on_disk:
            # Perhaps published, perhaps not: it keeps its id, so that it counts once.
            self._put_back(batch)
        self._in_hand = None
        self._retry_s = 0.0
        self._to_disk(0)
        if self._folder is not None:
            with self._disk:
                self._folder.close()
        return len(self._memory)

    def _to_disk(self, most_bytes: int) -> None:
        while (
            self._folder is not None
            and self._bytes > most_bytes
            and time.monotonic() >= self._retry_s
        ):
            with self._filled:
                if not self._memory:
                    return
                batch, size = self._memory.popleft()
                self._bytes -= size
            try:
                with self._disk:
                    deleted = self._folder.write(batch)
            except (OSError, ConfigError) as error:
                self._put_back(batch)
                self._retry_s = time.monotonic() + _RETRY_S
                log.warning("a batch cannot be spooled to disk; it stays in memory", error=error)
                return
            with self._filled:
                for stage, n in deleted:
                    self._drop(stage, n)

    def _put_back(self, batch: SessionBatch) -> None:
        size = size_of(batch)
        with self._filled:
            self._memory.appendleft((batch, size))
            self._bytes += size

    def _drop(self, stage: str, n: int) -> None:
        if stage == self._stage:
            self._dropped.append(Drop(n, REASON))
        if not self._has_said:
            self._has_said = True
            log.warning(
                "the spool is full: the oldest batches are dropped and counted until the broker "
                "takes batches as fast as they are played; see TINYQUEUE_SPOOL_MEMORY_BYTES and "
                "TINYQUEUE_SPOOL_DISK_BYTES",
                batch=f"{stage}:{n}",
            )


def copied(batch: SessionBatch) -> SessionBatch:
    """A copy that shares no array with the batch."""

    def of(arrays: Arrays) -> Arrays:
        return {name: array.copy() for name, array in arrays.items()}

    return replace(
        batch,
        observations=of(batch.observations),
        actions=of(batch.actions),
        extras=of(batch.extras),
        carry=of(batch.carry),
        rewards=batch.rewards.copy(),
        terminated=batch.terminated.copy(),
        truncated=batch.truncated.copy(),
        valid=batch.valid.copy(),
    )


def size_of(batch: SessionBatch) -> int:
    """Bytes of its arrays."""
    mappings = (batch.observations, batch.actions, batch.extras, batch.carry)
    plain = (batch.rewards, batch.terminated, batch.truncated, batch.valid)
    return sum(array.nbytes for arrays in mappings for array in arrays.values()) + sum(
        array.nbytes for array in plain
    )
