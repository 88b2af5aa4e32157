"""Memory that this process uses."""

from __future__ import annotations

import os


def resident_bytes() -> int:
    """Resident memory of this process; 0 if /proc does not say."""
    try:
        with open("/proc/self/statm") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0
