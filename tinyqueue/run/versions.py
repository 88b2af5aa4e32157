"""Numbers for weight versions: strictly increasing, never assigned twice, whatever crashes."""

from __future__ import annotations

from tinyqueue.errors import DiskFullError
from tinyqueue.run.run_directory import RunDirectory


class Versions:
    """Assigns version numbers from blocks that the run directory has reserved on disk.

    The next block is reserved when half of the current one is used, so that a temporarily full
    disk does not end a run.

    Args:
        run: Reserves the blocks.
        at_least: The lowest number to assign: one above the head in the store.

    Raises:
        DiskFullError, RunDirectoryError: The first block cannot be reserved.
    """

    def __init__(self, run: RunDirectory, at_least: int = 0) -> None:
        self._run = run
        self._block = run.reserve_versions(at_least)
        self._following: range | None = None
        self._next = self._block.start

    def next(self) -> int:
        """The next version. Once per block it waits for the disk (about 1 ms).

        Raises:
            DiskFullError: No number is left, and no block can be reserved.
            RunDirectoryError: The disk failed.
        """
        is_last = self._next == self._block.stop
        if self._following is None and self._next >= self._block.stop - len(self._block) // 2:
            try:
                self._following = self._run.reserve_versions(self._block.stop)
            except DiskFullError:
                if is_last:
                    raise
        if is_last and self._following is not None:
            self._block, self._following = self._following, None
            self._next = self._block.start
        version = self._next
        self._next += 1
        return version
