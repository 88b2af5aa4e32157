"""What the rules of a diagnosis know of a run, and what they find."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyqueue.experiment.experiment import Experiment
from tinyqueue.monitor.metrics import Metric
from tinyqueue.monitor.recorded import Recorded

LATE = 0.7
"""Share of a run, by env steps, from which its last part begins."""
LEAST_LINES = 10
"""Lines of metrics that a statement about the last part needs."""
LEAST_EPISODES = 20


@dataclass(frozen=True)
class Finding:
    """What stands out in a run.

    Attributes:
        name: The rule's, as in the documentation.
        seen: What was seen, with its number.
        advice: What to look at or try.
    """

    name: str
    seen: str
    advice: str


@dataclass(frozen=True)
class Run:
    """What the rules know of a run.

    Attributes:
        experiment: Its settings.
        recorded: Its metrics and episodes.
        level: The mean return that it was to reach; None without one.
        best: The best evaluation's mean return; None before the first.
        ended: How it last ended, in a word or some; empty if it has not, or went on since.
        reason: Why it failed; empty otherwise.
        remarks: What was noted when it ended, in sentences.
        dead_units: Share of its network's units that no longer learn; None if that is not known.
    """

    experiment: Experiment
    recorded: Recorded
    level: float | None
    best: float | None
    ended: str = ""
    reason: str = ""
    remarks: Sequence[str] = ()
    dead_units: float | None = None

    @property
    def algorithm(self) -> Any:
        """The algorithm's config."""
        return self.experiment.algorithm

    def late(self, metric: str) -> float | None:
        """The median of a metric in the last part; None where the run has too little of it."""
        values = self.recorded.part(metric, LATE, 1.0)
        return float(np.median(values)) if len(values) >= LEAST_LINES else None

    @property
    def is_short(self) -> bool:
        """Whether it has too little of everything for most rules to speak."""
        lines = self.recorded.part(Metric.ENV_STEPS, 0.0, 1.0)
        return min(len(lines), len(self.recorded.returns)) < LEAST_LINES and not self.has_reached

    @property
    def has_reached(self) -> bool:
        """Whether an evaluation was at the level."""
        return self.level is not None and self.best is not None and self.best >= self.level

    @property
    def is_flat(self) -> bool:
        """Whether returns of the last part are no higher than before, by two standard errors."""
        before = self.recorded.returns_within(2 * LATE - 1, LATE)
        after = self.recorded.returns_within(LATE, 1.0)
        if min(len(before), len(after)) < LEAST_EPISODES:
            return False
        error = np.hypot(*(np.std(part) / np.sqrt(len(part)) for part in (before, after)))
        return bool(np.mean(after) - np.mean(before) <= 2 * error)
