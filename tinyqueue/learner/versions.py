"""Numbers for weight versions: strictly rising, never given twice, whatever crashes."""

from __future__ import annotations

from tinyqueue.learner.run_directory import RunDirectory


class Versions:
    """Gives out version numbers from blocks that the run directory has reserved on disk.

    Args:
        run: Where blocks are reserved.
        at_least: The first number that may be given: one above the head in the store.
    """

    def __init__(self, run: RunDirectory, at_least: int = 0) -> None:
        self._run = run
        self._block = run.reserve_versions(at_least)
        self._next = self._block.start

    def next(self) -> int:
        """The next version. Once in a block of numbers it waits for the disk (about 1 ms)."""
        if self._next == self._block.stop:
            self._block = self._run.reserve_versions(self._next)
            self._next = self._block.start
        version = self._next
        self._next += 1
        return version
