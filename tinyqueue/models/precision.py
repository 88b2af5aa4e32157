"""Whether convolutions are trained in bfloat16. Variables, heads and losses are always float32.

On a processor that multiplies bfloat16, an update of the Nature network took 0.62 times as long as
in float32 (one core, no XLA); elsewhere TensorFlow emulates it and takes five times as long.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

Precision = Literal["auto", "float32", "bfloat16"]

_FLAGS = {"avx512_bf16", "amx_bf16"}
_CPUINFO = Path("/proc/cpuinfo")


def dtype_policy(precision: Precision, cpuinfo: Path = _CPUINFO) -> str:
    """The Keras dtype policy: ``mixed_bfloat16`` if asked for, or if ``auto`` finds it faster.

    Args:
        precision: ``auto`` checks the processor.
        cpuinfo: The kernel's description of it.
    """
    mixed = precision == "bfloat16" or (precision == "auto" and has_bfloat16(cpuinfo))
    return "mixed_bfloat16" if mixed else "float32"


def has_bfloat16(cpuinfo: Path = _CPUINFO) -> bool:
    """Whether the processor has AVX-512 or AMX instructions for bfloat16; False if unknown."""
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        return False
    flags = next((line for line in lines if line.startswith("flags")), "")
    return not _FLAGS.isdisjoint(flags.split())
