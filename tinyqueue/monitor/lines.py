"""The view without a terminal: one plain line every few seconds."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import RLock
from typing import IO

from tinyqueue.monitor.view import Progress, RunHeader, Snapshot, duration, number
from tinyqueue.printable import printable_lines

FIRST_EVERY_S = 2.0
LAST_EVERY_S = 60.0


class LineView:
    """Prints a line every 2 s at first, then less and less often: a night fits on a screen.

    Args:
        file: The file to write to; it is flushed after each line.
        clock: Monotonic seconds.
    """

    def __init__(self, file: IO[str], clock: Callable[[], float] = time.monotonic) -> None:
        self._file = file
        self._clock = clock
        self._lock = RLock()
        self._progress: Progress | None = None
        self._started_s = clock()
        self._next_s = self._started_s
        self._unshown: Snapshot | None = None

    @property
    def is_due(self) -> bool:
        """Whether the next line is due, or progress has nothing yet to be measured from."""
        needs_first = self._progress is not None and self._progress.needs_first
        return needs_first or self._clock() >= self._next_s

    def start(self, header: RunHeader) -> None:
        """Writes what is trained, and where."""
        with self._lock:
            self._progress = Progress(header)
            self._started_s = self._clock()
            self._next_s = self._started_s
            self._write(
                f"{header.experiment}: {header.environment}, {header.algorithm}, "
                f"{header.services}, {header.run_directory}"
            )

    def update(self, snapshot: Snapshot) -> None:
        """Writes a line if one is due; before the first session batch there is none."""
        with self._lock:
            if snapshot.is_waiting and not snapshot.batches_set_aside:
                # There are no numbers to show yet; the next line comes with the first of them.
                return
            self._unshown = snapshot
            if self._progress is not None:
                self._progress.see(snapshot)
            if self._clock() >= self._next_s:
                self._show(snapshot)

    def message(self, text: str) -> None:
        """Writes the text at once."""
        with self._lock:
            self._write(text)

    def stop(self) -> None:
        """Writes the last snapshot unless it was written before."""
        with self._lock:
            if self._unshown is not None:
                self._show(self._unshown)

    def _show(self, snapshot: Snapshot) -> None:
        now_s = self._clock()
        every_s = (now_s - self._started_s) / 30
        self._next_s = now_s + min(max(every_s, FIRST_EVERY_S), LAST_EVERY_S)
        self._unshown = None
        self._write(line(snapshot, self._progress))

    def _write(self, text: str) -> None:
        self._file.write(f"{printable_lines(text)}\n")
        self._file.flush()


def line(snapshot: Snapshot, progress: Progress | None) -> str:
    """One snapshot in one line, with the same columns in every line."""
    parts = [
        f"{duration(snapshot.time_s):>7}",
        f"{snapshot.env_steps:>11,} steps",
        f"{number(snapshot.env_steps_per_s, 0):>7}/s",
        f"{snapshot.updates:>7,} updates",
        f"return {number(snapshot.return_mean):>8}",
    ]
    if progress and progress.goal:
        parts.append(f"{progress.percent(snapshot):>4} {progress.goal}")
    parts += [
        f"lag {snapshot.policy_lag_mean:4.1f}",
        f"queue {snapshot.queue_depth}",
        f"players {snapshot.players}",
    ]
    if snapshot.batches_set_aside or snapshot.batches_dropped:
        parts.append(f"set aside {snapshot.batches_set_aside}, dropped {snapshot.batches_dropped}")
    if snapshot.is_evaluating:
        parts.append("evaluating")
    elif snapshot.greedy_mean is not None:
        parts.append(f"{snapshot.policy} {number(snapshot.greedy_mean)}")
    return "  ".join(parts)
