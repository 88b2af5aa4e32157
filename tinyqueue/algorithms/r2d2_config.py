"""Hyper-parameters of ``r2d2``. Defaults are for small tasks; the paper's stand beside them."""

from __future__ import annotations

from dataclasses import dataclass

from tinyqueue.algorithms.dqn_config import ApexConfig
from tinyqueue.algorithms.ranges import Count, CountOrNone, Share


@dataclass(frozen=True)
class R2d2Config(ApexConfig):
    """``r2d2``: Ape-X on sequences, with a recurrent network.

    A sequence begins at the first tick of a session batch, where the recurrent state was
    recorded: ``session.ticks`` is what the paper calls the period (40), and training sees every
    tick when it is at most ``unroll``.
    """

    gamma: Share = 0.997
    """R2D2: 0.997."""
    n_step: Count = 5
    """R2D2: 5."""
    huber: bool = False
    """R2D2: ½δ²."""
    priority_exponent: Share = 0.9
    """R2D2: 0.9."""
    importance: Share = 0.6
    """R2D2: 0.6."""
    batch_size: Count = 64
    """Sequences per update. R2D2: 64."""
    burn_in: CountOrNone = 8
    """Ticks that only warm the recurrent state up. R2D2: 40, on Atari."""
    unroll: Count = 32
    """Ticks after them that are trained on. R2D2: 80."""
    max_priority_weight: Share = 0.9
    """η: a sequence's priority is η·max|δ| + (1 − η)·mean|δ|. R2D2: 0.9."""
    rescaled: bool = True
    """Learn h(Q), which is near √Q for large values, instead of clipping rewards."""
