"""How far each run has come, read from its ledger without any service or learner."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from bisect import bisect_right
from dataclasses import dataclass, field
from pathlib import Path

from checker import read_env_steps

from tinyqueue.run.run_directory import RunDirectory

_RESUMED = re.compile(r"resumed from the checkpoint at ([\d,]+) env steps")
_FROM_SCRATCH = "the run has no checkpoint yet"


@dataclass
class Progress:
    """The accepted env steps of one experiment, sampled over time.

    Attributes:
        experiment: Its name.
        runs: The folder of its runs.
        batch_steps: Env steps of a full batch.
        times, steps: The samples, seconds on the monotonic clock and env steps.
    """

    experiment: str
    runs: Path
    batch_steps: int
    times: list[float] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)

    @property
    def run(self) -> Path | None:
        """Its run directory, once there is one."""
        return RunDirectory.newest(self.runs, self.experiment)

    def read(self) -> int:
        """Env steps accepted by now; 0 before there is a ledger."""
        run = self.run
        if run is None:
            return 0
        with contextlib.suppress(sqlite3.OperationalError):
            return read_env_steps(run)
        return self.steps[-1] if self.steps else 0

    def sample(self, now_s: float) -> None:
        """Adds a sample."""
        self.steps.append(self.read())
        self.times.append(now_s)

    def standstill_s(self, since_s: float, until_s: float) -> float:
        """The longest time without a rise between two moments."""
        longest_s, rose_s, last = 0.0, since_s, -1
        for at in range(bisect_right(self.times, since_s), bisect_right(self.times, until_s)):
            if self.steps[at] > last >= 0:
                longest_s = max(longest_s, self.times[at] - rose_s)
                rose_s = self.times[at]
            last = self.steps[at]
        return max(longest_s, until_s - rose_s)

    def trained_s(self, steps: int, until_s: float) -> float:
        """Seconds of training between the moment at which it had so many steps and another.

        Times without a rise do not count: nothing was lost of them.
        """
        found = 0.0
        at = bisect_right(self.times, until_s) - 1
        while at > 0 and self.steps[at] > steps:
            if self.steps[at] > self.steps[at - 1]:
                found += self.times[at] - self.times[at - 1]
            at -= 1
        return found


def resumed_at(printed: str) -> int | None:
    """The env steps of the checkpoint that a learner says it resumed; None while it says none."""
    found = _RESUMED.search(printed)
    if found:
        return int(found[1].replace(",", ""))
    return 0 if _FROM_SCRATCH in printed else None
