"""Facts about this process."""

from __future__ import annotations

import time
from pathlib import Path

_IMPORTED_S = time.monotonic()


def seconds_since_exec() -> float:
    """Wall time since this process was started; on systems without /proc, since this import."""
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return time.monotonic() - _IMPORTED_S
    # Field 22 of proc(5), in the kernel's fixed user-space unit of 1/100 s since boot.
    return time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / 100
