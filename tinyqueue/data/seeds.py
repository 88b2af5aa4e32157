"""Where every random draw comes from: generators derived from (run seed, stage ordinal, slot)."""

from __future__ import annotations

import numpy as np


def generator(run_seed: int, *path: int) -> np.random.Generator:
    """An independent generator for one place in the run.

    Args:
        run_seed: The seed of the run.
        path: Where it is used: stage ordinal, slot, or a number for the purpose. Different
            paths give independent streams; the same path gives the same stream.
    """
    return np.random.Generator(
        np.random.SFC64(np.random.SeedSequence(entropy=run_seed, spawn_key=path))
    )


def seed32(run_seed: int, *path: int) -> int:
    """A 31-bit seed for libraries that take only an integer, from the same derivation."""
    return int(generator(run_seed, *path).integers(2**31))
