"""How a stretch of training ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Ended = Literal["solved", "max env steps", "stopped"]


@dataclass(frozen=True)
class Outcome:
    """What ``tinyqueue train`` and ``learner start`` report at the end.

    Attributes:
        ended: ``solved``: greedy games reached the level. ``max env steps``: the limit came
            first. ``stopped``: somebody asked.
        env_steps, updates, version: The clock.
        trained_s: Seconds since the first batch, over all starts of the run.
        threshold: The level, if there is one.
        deciding_mean: Mean return of the greedy games that ended training.
        deciding_games: How many games these were.
        evaluated_at_s: Wall-clock time (``time.time``) at which they came back.
        fresh_mean, fresh_games: A second set of games of the same weights, played after the
            decision; the honest estimate, since the first was picked for being good.
        advice: What is worth trying where the run ended flat; empty otherwise.
    """

    ended: Ended
    env_steps: int
    updates: int
    version: int
    trained_s: float
    threshold: float | None = None
    deciding_mean: float | None = None
    deciding_games: int = 0
    evaluated_at_s: float | None = None
    fresh_mean: float | None = None
    fresh_games: int = 0
    advice: tuple[str, ...] = ()
