"""The process-wide random generators, which many environments draw from.

Left alone, every process forked from one worker would draw the same numbers: 192 of 192 first
observations were equal in two players.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from tinyqueue.data.seeds import seed32

_PURPOSE = 2
# The purpose number of these draws; 0 and 1 are a stage's environments and its head.


def seed_global_draws(seed: int) -> None:
    """Seeds ``random``, ``numpy.random`` and, if it is already imported, PyTorch."""
    random.seed(seed32(seed, _PURPOSE, 0))
    np.random.seed(seed32(seed, _PURPOSE, 1))
    torch: Any = sys.modules.get("torch")
    if hasattr(torch, "manual_seed"):
        torch.manual_seed(seed32(seed, _PURPOSE, 2))


@contextmanager
def global_draws(seed: int) -> Iterator[None]:
    """Seeds the generators as :func:`seed_global_draws` does, and restores them afterwards."""
    with global_draws_kept():
        seed_global_draws(seed)
        yield


@contextmanager
def global_draws_kept() -> Iterator[None]:
    """Restores the generators afterwards: whatever is drawn inside is as if it were not."""
    torch: Any = sys.modules.get("torch")
    has_torch = hasattr(torch, "get_rng_state")
    before = random.getstate(), np.random.get_state(), torch.get_rng_state() if has_torch else None
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])
        if has_torch:
            torch.set_rng_state(before[2])
