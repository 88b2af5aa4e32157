"""What several benchmarks measure: CPU seconds from /proc, and the players' own accounts."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_TASK_LINE = re.compile(
    r'event="?task played"?.* batches=(\d+) refused=(\d+) play_cpu_s=(\S+) bus_cpu_s=(\S+)'
)


def cpu_s(pid: int, thread: int | None = None) -> float:
    """User and system CPU seconds of a process, or of one of its threads; 0 if it is gone."""
    path = Path(f"/proc/{pid}/stat" if thread is None else f"/proc/{pid}/task/{thread}/stat")
    try:
        fields = path.read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def started_s(pid: int) -> float:
    """When a process was forked, on the clock of ``time.time()``, to within 10 ms."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    age_s = time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / _TICKS_PER_S
    return time.time() - age_s


def memory_mb(pid: int) -> tuple[float, float]:
    """Resident and proportional set size of a process, in MB."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    found = {key: int(value) for key, value in re.findall(r"^(Rss|Pss):\s+(\d+) kB", text, re.M)}
    return found["Rss"] * 1024 / 1e6, found["Pss"] * 1024 / 1e6


def children(pid: int) -> dict[int, str]:
    """All descendants of a process: pid → command line."""
    below: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        below.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found: dict[int, str] = {}
    waiting = list(below.get(pid, []))
    while waiting:
        child = waiting.pop()
        try:
            found[child] = Path(f"/proc/{child}/cmdline").read_text().replace("\0", " ")
        except OSError:
            continue
        waiting += below.get(child, [])
    return found


@dataclass(frozen=True)
class PlayerAccount:
    """Totals over the tasks that players report in their log."""

    batches: int
    refused: int
    play_cpu_s: float
    bus_cpu_s: float

    @classmethod
    def read(cls, log: Path) -> PlayerAccount:
        """Adds up the tasks in a worker's log."""
        rows = _TASK_LINE.findall(log.read_text())
        return cls(
            batches=sum(int(row[0]) for row in rows),
            refused=sum(int(row[1]) for row in rows),
            play_cpu_s=sum(float(row[2]) for row in rows),
            bus_cpu_s=sum(float(row[3]) for row in rows),
        )

    def __sub__(self, before: PlayerAccount) -> PlayerAccount:
        """What was played since ``before``."""
        return PlayerAccount(
            self.batches - before.batches,
            self.refused - before.refused,
            self.play_cpu_s - before.play_cpu_s,
            self.bus_cpu_s - before.bus_cpu_s,
        )


def is_server(command: str) -> bool:
    """Whether a process belongs to the broker or the store."""
    return any(name in command for name in ("beam.smp", "redis-server", "epmd"))


def total_cpu_s(pids: Iterable[int]) -> float:
    """CPU seconds that these processes have used so far."""
    return sum(cpu_s(pid) for pid in pids)
