"""Noticing that a run's returns have not risen for a while."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tinyqueue.data.session import SessionBatch
from tinyqueue.experiment.experiment import Experiment
from tinyqueue.monitor.advice import Findings, advise
from tinyqueue.monitor.hidden_state import HiddenState
from tinyqueue.monitor.metrics import Metric

LEAST_ENV_STEPS, LEAST_S = 100_000, 120.0
"""No run is called flat before either of these."""
STRETCH = 0.3
"""The last part of a run that must not rise, neither within itself nor above the part before it."""
_LOOKS = 3
"""A run is flat after this many flat looks in a row, each when the run is a tenth longer."""
_BUCKETS = 512
_LAST = 200
_SAMPLE_EVERY = 0.01
"""Share of a run between two batches that are kept for measuring."""
_LEAST_EPISODES = 20


@dataclass
class _Bucket:
    """The episodes that ended in a span of env steps."""

    env_steps: int
    count: int = 0
    total: float = 0.0
    squares: float = 0.0


@dataclass(frozen=True)
class _Mean:
    count: int
    mean: float
    squared_error: float
    """Of the mean."""


class FlatRun:
    """Watches a run's returns, and advises what to try once they no longer rise.

    Args:
        experiment: The experiment that is trained.
        level: The mean return to reach; None without one.
    """

    def __init__(self, experiment: Experiment, level: float | None) -> None:
        self._experiment = experiment
        self._level = level
        self._env_steps = 0
        self._buckets: list[_Bucket] = []
        self._width = 1
        self._last: deque[float] = deque(maxlen=_LAST)
        self._hidden = HiddenState()
        self._sampled = 0
        self._first_entropy: float | None = None
        self._entropy = math.nan
        self._acts_in_numbers = False
        self._looked = 0
        self._flat_looks = 0
        self._said: tuple[_Mean, list[str]] | None = None

    def see(
        self, batches: Sequence[SessionBatch], numbers: Mapping[str, float], trained_s: float
    ) -> None:
        """Takes in what was trained on.

        Args:
            batches: The batches of the update; only a few slots of one are kept now and then.
            numbers: The metrics of the update, for the entropy.
            trained_s: Seconds of training so far.
        """
        for batch in batches:
            self._env_steps += batch.env_steps
            self._count(batch.episodes.returns.tolist())
            if self._env_steps >= self._sampled * (1 + _SAMPLE_EVERY):
                self._sampled = self._env_steps
                self._hidden.see(batch)
        entropy = numbers.get(Metric.ENTROPY)
        self._acts_in_numbers = self._acts_in_numbers or _acts_in_numbers(batches)
        if entropy is not None and math.isfinite(entropy) and not self._acts_in_numbers:
            self._first_entropy = entropy if self._first_entropy is None else self._first_entropy
            self._entropy = entropy
        is_long = self._env_steps >= LEAST_ENV_STEPS or trained_s >= LEAST_S
        if is_long and self._env_steps >= 1.1 * self._looked:
            self._looked = self._env_steps
            self._flat_looks = self._flat_looks + 1 if self._is_flat() else 0

    @property
    def is_flat(self) -> bool:
        """Whether returns no longer rise; False while the run is short or has reached its level."""
        return self._flat_looks >= _LOOKS

    def advice(self) -> list[str]:
        """What is worth trying; empty unless the run is flat. Takes some milliseconds."""
        if not self.is_flat:
            return []
        said = advise(self._experiment, self._findings())
        self._said = self._stretch(), said
        return said

    def closing_advice(self) -> list[str]:
        """What is worth trying when the run has ended.

        Earlier advice is included unless returns have risen since.
        """
        if self._said is not None and not self.is_flat:
            mean, said = self._said
            return [] if mean.count and _rises(mean, self._stretch()) else said
        return self.advice()

    def _stretch(self) -> _Mean:
        return self._mean(self._env_steps * (1 - STRETCH), self._env_steps)

    def _count(self, returns: Sequence[float]) -> None:
        if not self._buckets or self._env_steps >= self._buckets[-1].env_steps + self._width:
            self._buckets.append(_Bucket(self._env_steps))
            if len(self._buckets) > _BUCKETS:
                self._merge()
        bucket = self._buckets[-1]
        bucket.count += len(returns)
        bucket.total += sum(returns)
        bucket.squares += sum(value * value for value in returns)
        self._last.extend(returns)

    def _merge(self) -> None:
        """Merges neighbouring buckets to twice the width."""
        self._width *= 2
        merged: list[_Bucket] = []
        for bucket in self._buckets:
            if merged and bucket.env_steps < merged[-1].env_steps + self._width:
                last = merged[-1]
                last.count += bucket.count
                last.total += bucket.total
                last.squares += bucket.squares
            else:
                merged.append(bucket)
        self._buckets = merged

    def _is_flat(self) -> bool:
        whole = self._env_steps
        now = self._mean(whole * (1 - STRETCH), whole)
        if not now.count and not any(bucket.count for bucket in self._buckets):
            return True
        middle = whole * (1 - STRETCH / 2)
        halves = self._mean(whole * (1 - STRETCH), middle), self._mean(middle, whole)
        before = self._mean(whole * (1 - 2 * STRETCH), whole * (1 - STRETCH))
        if min(part.count for part in (*halves, before)) < _LEAST_EPISODES:
            return False
        if _rises(halves[0], halves[1]) or _rises(before, now):
            return False
        if self._level is not None:
            return now.mean < self._level
        # Without a level, what has been learned may be all there is.
        return not _rises(self._mean(0, whole * STRETCH / 2), now)

    def _mean(self, begin: float, end: float) -> _Mean:
        inside = [bucket for bucket in self._buckets if begin <= bucket.env_steps < end + 1]
        count = sum(bucket.count for bucket in inside)
        if not count:
            return _Mean(0, math.nan, math.nan)
        mean = sum(bucket.total for bucket in inside) / count
        # Around each bucket's own mean, so that a trend does not count as noise.
        spread = sum(b.squares - b.total * b.total / b.count for b in inside if b.count > 1)
        free = sum(b.count - 1 for b in inside if b.count > 1)
        return _Mean(count, mean, max(0.0, spread) / max(1, free) / count)

    def _findings(self) -> Findings:
        stretch = self._stretch()
        ((common, times),) = Counter(
            round(value, 6) for value in self._last
        ).most_common(1) or [(math.nan, 0)]  # fmt: skip
        left = self._entropy / self._first_entropy if self._first_entropy else 1.0
        return Findings(
            env_steps=self._env_steps,
            episodes=stretch.count,
            mean=stretch.mean,
            common_return=common,
            common_share=times / max(1, len(self._last)),
            gain=self._hidden.gain(),
            surprises=self._hidden.surprises(),
            entropy_left=left,
            acts_in_numbers=self._acts_in_numbers,
        )


def _acts_in_numbers(batches: Sequence[SessionBatch]) -> bool:
    """Whether a part of the action is continuous, so that its entropy is a differential one."""
    return any(leaf.dtype.kind == "f" for batch in batches for leaf in batch.actions.values())


def _rises(before: _Mean, after: _Mean) -> bool:
    """By more than two standard errors of the difference, and more than rounding."""
    error = 2 * math.sqrt(before.squared_error + after.squared_error)
    return after.mean - before.mean > max(error, 1e-6 * abs(after.mean))
