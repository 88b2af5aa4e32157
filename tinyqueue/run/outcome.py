"""How a stretch of training ended."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Ended = Literal["solved", "max env steps", "stopped", "failed"]

OUTCOME = "outcome.json"
"""The file of a run directory."""


@dataclass(frozen=True)
class Outcome:
    """What ``tinyqueue train`` and ``learner start`` report at the end.

    Attributes:
        ended: ``solved``: evaluation episodes reached the target score, and fresh ones confirmed
            it. ``max env steps``: the limit came first. ``stopped``: on request. ``failed``: it
            could not make progress.
        env_steps, updates, version: The clock.
        trained_s: Seconds since the first batch, over all starts of the run.
        threshold: The target score, if there is one.
        deciding_mean: Mean return of the evaluation that reached the target score; unless the run
            is ``solved``, no fresh episodes have confirmed it.
        deciding_games: Number of its episodes.
        evaluated_at_s: Wall-clock time (``time.time``) at which it finished.
        fresh_mean, fresh_games: A second set of episodes with the same weights, played after the
            decision: the unbiased estimate, since the first was selected for being good.
        reason: Why it failed; at the limit, why its last weights were not evaluated; empty
            otherwise.
        policy: How actions were chosen in these episodes, or else in the last ones: ``greedy`` or
            ``sampled``.
        last_mean, last_games, last_env_steps: The last evaluation of a run that is not solved,
            and the env steps of its weights.
        training_mean, training_episodes: Mean return of the last training episodes of a run that
            is not solved, and how many these are, at most 100; None and 0 before the first.
        remarks: Notes on how these episodes ended, and on environments that failed in training.
        advice: What is worth trying if the learning curve was flat at the end; empty otherwise.
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
    training_mean: float | None = None
    training_episodes: int = 0
    remarks: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()


def read_outcome(run: Path) -> dict[str, Any]:
    """How a run ended, as its ``outcome.json`` has it; empty if it never did, or was resumed.

    Args:
        run: The run directory.
    """
    try:
        found = json.loads((run / OUTCOME).read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
