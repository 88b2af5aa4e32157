"""How soon environments that own their clock got their actions in training."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from tinyqueue.data.pace import Pace
from tinyqueue.data.session import SessionBatch
from tinyqueue.monitor.metrics import Metric

WINDOW = 100
"""Session batches whose percentiles are averaged."""


class Paces:
    """Follows the paces of session batches since the learner started."""

    def __init__(self) -> None:
        self._recent: deque[Pace] = deque(maxlen=WINDOW)
        self._total = Pace()

    def see(self, batches: Sequence[SessionBatch]) -> None:
        """Takes in the paces of session batches that were trained on."""
        paces = [batch.header.pace for batch in batches if batch.header.pace is not None]
        if paces:
            self._recent.extend(paces)
            self._total = Pace.merged([self._total, *paces])

    @property
    def pace(self) -> Pace | None:
        """Percentiles of the last 100 batches, and the worst and the sums of all; None without."""
        if not self._recent:
            return None
        recent, total = Pace.merged(self._recent), self._total
        return Pace(
            steps=total.steps,
            p50_ms=recent.p50_ms,
            p99_ms=recent.p99_ms,
            worst_ms=total.worst_ms,
            missed_ticks=total.missed_ticks,
            late_ticks=total.late_ticks,
        )

    def numbers(self) -> dict[str, float]:
        """The metrics; none unless an environment owns its clock."""
        pace = self.pace
        if pace is None:
            return {}
        return {
            Metric.ACTION_MS_P50: pace.p50_ms,
            Metric.ACTION_MS_P99: pace.p99_ms,
            Metric.ACTION_MS_WORST: pace.worst_ms,
            Metric.MISSED_TICKS: pace.missed_ticks,
            Metric.LATE_TICKS: pace.late_ticks,
        }
