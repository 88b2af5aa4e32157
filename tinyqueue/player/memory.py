"""How much memory a player uses, and how much it should."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

SHARE = 0.5
"""Part of the machine's memory that open stages may take, by all players together."""
ELSEWHERE_BYTES = 2 * 2**30
"""The share where the machine's memory is not known (anything but Linux)."""
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


def used_bytes(proc: Path = Path("/proc")) -> int:
    """Memory of this process and those that its environments have started; 0 if not known."""
    pids, total = [os.getpid()], 0
    for pid in pids:
        with contextlib.suppress(OSError, ValueError, IndexError):
            total += int((proc / str(pid) / "statm").read_text().split()[1]) * _PAGE_BYTES
            for thread in (proc / str(pid) / "task").iterdir():
                pids += [int(child) for child in (thread / "children").read_text().split()]
    return total


def share_bytes(root: Path = Path("/")) -> int:
    """What the stages of one player may take: there is about one player per core."""
    limits = [*_meminfo(root), *_cgroups(root)]
    machine = min(limits) if limits else None
    if machine is None:
        return ELSEWHERE_BYTES
    return int(SHARE * machine / (os.cpu_count() or 1))


def _meminfo(root: Path) -> list[int]:
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in (root / "proc/meminfo").read_text().splitlines():
            if line.startswith("MemTotal:"):
                return [int(line.split()[1]) * 1024]
    return []


def _cgroups(root: Path) -> list[int]:
    """A container's limit, of either version of control groups."""
    found = []
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):
            # "max" is no number: there is no limit.
            found.append(int((root / "sys/fs/cgroup" / name).read_text()))
    return found
