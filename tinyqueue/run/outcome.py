"""How a stretch of training ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Ended = Literal["solved", "max env steps", "stopped", "failed"]


@dataclass(frozen=True)
class Outcome:
    """What ``tinyqueue train`` and ``learner start`` report at the end.

    Attributes:
        ended: ``solved``: games reached the level, and fresh ones agreed. ``max env steps``: the
            limit came first. ``stopped``: somebody asked. ``failed``: it could not get anywhere.
        env_steps, updates, version: The clock.
        trained_s: Seconds since the first batch, over all starts of the run.
        threshold: The level, if there is one.
        deciding_mean: Mean return of the games that reached the level; where training ended
            otherwise, no fresh games have confirmed them.
        deciding_games: How many games these were.
        evaluated_at_s: Wall-clock time (``time.time``) at which they came back.
        fresh_mean, fresh_games: A second set of games of the same weights, played after the
            decision; the honest estimate, since the first was picked for being good.
        reason: Why it failed; empty otherwise.
        policy: How the actions of these games, or else of the last ones, were chosen: ``greedy``
            or ``sampled``.
        last_mean, last_games, last_env_steps: The last evaluation of a run that is not solved,
            and the clock of its weights.
        remarks: What must be known of how those games ended.
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
    reason: str = ""
    policy: str = "greedy"
    last_mean: float | None = None
    last_games: int = 0
    last_env_steps: int = 0
    remarks: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()
