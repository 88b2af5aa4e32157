"""Whether convolutions are trained in bfloat16. Variables, heads and losses are float32 always.

Where the processor multiplies bfloat16, an update of the Nature network took 0.62 of the time of
float32 (one core, no XLA); where it does not, TensorFlow emulates it and takes five times as long.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

Precision = Literal["auto", "float32", "bfloat16"]

_FLAGS = {"avx512_bf16", "amx_bf16"}
_CPUINFO = Path("/proc/cpuinfo")


def dtype_policy(precision: Precision, cpuinfo: Path = _CPUINFO) -> str:
    """The Keras dtype policy: ``mixed_bfloat16`` when asked for, or when it pays.

    Args:
        precision: ``auto`` asks the processor.
        cpuinfo: What the kernel says of it.
    """
    mixed = precision == "bfloat16" or (precision == "auto" and has_bfloat16(cpuinfo))
    return "mixed_bfloat16" if mixed else "float32"


def has_bfloat16(cpuinfo: Path = _CPUINFO) -> bool:
    """Whether the processor has instructions for it, AVX-512's or AMX's; False when unknown."""
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        return False
    flags = next((line for line in lines if line.startswith("flags")), "")
    return not _FLAGS.isdisjoint(flags.split())
