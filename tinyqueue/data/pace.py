"""How soon an environment that owns its clock got its actions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

MOST = 10**9
"""The largest number in a pace; more ticks are a mistake of whoever counts them."""


@dataclass(frozen=True)
class Pace:
    """The env steps of one session batch, or of some games.

    Attributes:
        steps: Env steps that it is about; 0 without any.
        p50_ms, p99_ms, worst_ms: Milliseconds from an observation to the action that answers it.
        missed_ticks: Ticks of its clock for which the environment got no action, by its own count.
        late_ticks: The same as measured: whole ``environment.tick_s`` between an observation and
            its action; 0 where no ``tick_s`` is set.
    """

    steps: int = 0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    worst_ms: float = 0.0
    missed_ticks: int = 0
    late_ticks: int = 0

    @classmethod
    def of(cls, seconds: Sequence[float], missed_ticks: int, late_ticks: int) -> Pace:
        """The pace of env steps whose actions took ``seconds``, one number per step."""
        missed_ticks, late_ticks = min(missed_ticks, MOST), min(late_ticks, MOST)
        if not len(seconds):
            return cls(missed_ticks=missed_ticks, late_ticks=late_ticks)
        ms = 1000.0 * np.asarray(seconds, np.float64)
        p50, p99 = np.percentile(ms, (50, 99))
        return cls(len(ms), float(p50), float(p99), float(ms.max()), missed_ticks, late_ticks)

    @classmethod
    def merged(cls, paces: Iterable[Pace]) -> Pace:
        """Several as one: sums, the worst, and means of the percentiles weighted by steps."""
        parts = list(paces)
        steps = sum(part.steps for part in parts)
        share = 1.0 / max(1, steps)
        return cls(
            steps=steps,
            p50_ms=share * sum(part.steps * part.p50_ms for part in parts),
            p99_ms=share * sum(part.steps * part.p99_ms for part in parts),
            worst_ms=max((part.worst_ms for part in parts), default=0.0),
            missed_ticks=sum(part.missed_ticks for part in parts),
            late_ticks=sum(part.late_ticks for part in parts),
        )

    def __str__(self) -> str:
        """``action after 1.2 ms, p99 3.4 ms, worst 5.6 ms; 0 ticks missed, 0 late``."""
        return (
            f"action after {self.p50_ms:.1f} ms, p99 {self.p99_ms:.1f} ms, "
            f"worst {self.worst_ms:.1f} ms; {self.missed_ticks:,} ticks missed, "
            f"{self.late_ticks:,} late"
        )
