"""The interface of a view of a running learner, and what it is given."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tinyqueue.data.pace import Pace

LEAST_EPISODES = 20
"""Progress to a level is not told from the mean of fewer: the shortest episodes end first."""
_MOST_DECIMALS = 8


@dataclass(frozen=True)
class RunHeader:
    """What does not change during a run.

    Attributes:
        run_directory: The run directory, as a person would type it.
        level: Mean return of evaluation episodes that ends training; None if there is none.
        max_env_steps: Env steps that end training; None if there is no such limit.
        queue_batches: Session batches that may wait in the experience queue.
    """

    experiment: str
    environment: str
    algorithm: str
    run_directory: str
    services: str
    level: float | None = None
    max_env_steps: int | None = None
    queue_batches: int | None = None


@dataclass(frozen=True)
class Snapshot:
    """One look at a running learner. Names and units as in ``tinyqueue.monitor.metrics``.

    Attributes:
        return_mean, length_mean: NaN before the first episode has ended.
        first_mean: Mean return of the run's first 100 episodes, over all starts; None before.
        greedy_mean: Mean return of the last evaluation; None before the first.
        policy: How its actions were chosen: ``greedy`` or ``sampled``.
        is_evaluating: Whether an evaluation is being played now.
        is_waiting: Whether no session batch has arrived yet since the learner started.
        pace: How soon an environment that owns its clock gets its actions; None for others.
    """

    time_s: float
    env_steps: int = 0
    updates: int = 0
    policy_version: int = -1
    episodes: int = 0
    return_mean: float = math.nan
    length_mean: float = math.nan
    first_mean: float | None = None
    env_steps_per_s: float = 0.0
    updates_per_s: float = 0.0
    policy_lag_mean: float = 0.0
    queue_depth: int = 0
    players: int = 0
    batches_set_aside: int = 0
    batches_dropped: int = 0
    greedy_mean: float | None = None
    policy: str = "greedy"
    is_evaluating: bool = False
    is_waiting: bool = False
    pace: Pace | None = None


class View(Protocol):
    """Shows a running run. ``start`` comes first and ``stop`` last; any thread may call.

    A view has no thread of its own, which would compete with training for cores.
    """

    @property
    def is_due(self) -> bool:
        """Whether a snapshot is wanted now; asking first saves making one."""

    def start(self, header: RunHeader) -> None:
        """Shows what is trained; comes before all else."""

    def update(self, snapshot: Snapshot) -> None:
        """Shows the snapshot if one is due; may be called at any rate."""

    def message(self, text: str) -> None:
        """Shows a line at once, and keeps it: a new player, a warning, an evaluation."""

    def stop(self) -> None:
        """Shows the last snapshot and releases the terminal. Idempotent."""


class Progress:
    """How far a run has come, from 0 to 1.

    With a level, it counts from the run's first mean to the level, or from the first return seen
    until there is a mean: a return's scale does not say where it starts (Pong starts at −21).
    Without a level, it counts towards the step limit.
    """

    def __init__(self, header: RunHeader) -> None:
        self._level = header.level
        self._max_env_steps = header.max_env_steps
        self._first: float | None = None

    @property
    def needs_first(self) -> bool:
        """Whether the mean that progress is measured from has yet to be seen."""
        return self._level is not None and self._first is None

    def see(self, snapshot: Snapshot) -> None:
        """Notes the run's first mean, and until there is one the first return seen."""
        if snapshot.first_mean is not None:
            self._first = snapshot.first_mean
        elif self._first is None and not math.isnan(snapshot.return_mean):
            self._first = snapshot.return_mean

    def fraction(self, snapshot: Snapshot) -> float | None:
        """Progress from 0 to 1; None if the run has neither a level nor a step limit."""
        if self._level is not None:
            return self._towards(self._level, snapshot.return_mean)
        if self._max_env_steps is not None:
            return min(1.0, snapshot.env_steps / self._max_env_steps)
        return None

    def is_known(self, snapshot: Snapshot) -> bool:
        """Whether enough episodes have ended to tell the progress to a level."""
        return self._level is None or snapshot.episodes >= LEAST_EPISODES

    def percent(self, snapshot: Snapshot) -> str:
        """``28%``; ``–`` while it is not known, and empty if there is no goal."""
        fraction = self.fraction(snapshot)
        if fraction is None:
            return ""
        return f"{fraction:.0%}" if self.is_known(snapshot) else "–"

    @property
    def goal(self) -> str:
        """What :meth:`fraction` is a share of; empty if there is no goal.

        ``of the way to 475``, or ``of 20,000,000 steps``.
        """
        if self._level is not None:
            return f"of the way to {self._level:,g}"
        return "" if self._max_env_steps is None else f"of {self._max_env_steps:,} steps"

    def _towards(self, level: float, mean: float) -> float:
        if mean >= level:
            return 1.0
        if self._first is None or self._first >= level or math.isnan(mean):
            return 0.0
        return max(0.0, (mean - self._first) / (level - self._first))


def duration(seconds: float) -> str:
    """``0:09``, ``12:34``, ``1:02:03``."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def number(value: float, digits: int | None = None, *, beside: float | None = None) -> str:
    """A number with thousands separators and sensible precision; ``–`` for NaN.

    ``12,345``, ``476.5``, ``9.35``, ``0.957``, ``0.0043``.

    Args:
        value: The number.
        digits: Decimals, if the caller knows better.
        beside: A number that it is compared with, such as a level: enough decimals are shown that
            rounding does not move it to the other side.
    """
    if math.isnan(value):
        return "–"
    if math.isinf(value) or digits is not None:
        return f"{value:,.{digits or 0}f}"
    decimals = _decimals(value)
    if beside is not None:
        while decimals < _MOST_DECIMALS and not _same_side(value, round(value, decimals), beside):
            decimals += 1
    text = f"{value:,.{decimals}f}"
    if decimals == 0:
        return text
    if float(text.replace(",", "")) == 0 and value != 0:
        return f"{value:.2g}"
    whole, _, fraction = text.partition(".")
    return f"{whole}.{fraction.rstrip('0') or '0'}"


def _decimals(value: float) -> int:
    """At least three significant digits, and one decimal below ten thousand."""
    if abs(value) >= 10_000:
        return 0
    if value == 0:
        return 1
    return min(max(1, 2 - math.floor(math.log10(abs(value)))), _MOST_DECIMALS)


def _same_side(value: float, rounded: float, beside: float) -> bool:
    return (value > beside) == (rounded > beside) and (value < beside) == (rounded < beside)


def shown(path: Path) -> str:
    """The path as a person would type it here."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def counted(count: int, noun: str) -> str:
    """``1 game``, ``2,000 games``, ``2 session batches``."""
    plural = "es" if noun.endswith(("ch", "s")) else "s"
    return f"{count:,} {noun}{'' if count == 1 else plural}"
