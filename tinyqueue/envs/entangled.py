"""Environments that disturb each other within one process, as those with global state do.

A simulator in a C library with a single world, or a class that keeps its state in itself, plays
well alone. Side by side, a step of one moves the other, and nothing fails: what is learned from is
wrong. So one is played alone and with another between its steps, and both ways must agree.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import gymnasium

from tinyqueue.data.seeds import seed32
from tinyqueue.envs.faults import HangError
from tinyqueue.envs.global_draws import global_draws_kept, seed_global_draws
from tinyqueue.envs.hanging import Alarm
from tinyqueue.envs.observed import Observed
from tinyqueue.envs.results import first_observation, step_values
from tinyqueue.envs.side_by_side import SideBySide
from tinyqueue.envs.spaces import Layout, empty

STEPS = 50
"""Most steps that are compared."""
LEAST_STEPS = 8
"""Fewer would show little."""
COMPARING_S = 0.3
"""Time for the first two of the plays that are compared. Slower environments are not compared."""
PLAYS = (False, True, False, True, False)
"""Which plays have another environment between the steps."""


def are_entangled(
    vector: SideBySide, observed: Layout, seed: int, *, step_s: float, reset_s: float
) -> bool:
    """Whether steps of the second environment change what the first one shows.

    An environment that does not repeat itself even when it plays alone is not judged, nor is one
    that fails here: the random steps of the trial tell of faults.

    Args:
        vector: Two environments, which may have played before.
        observed: Their observations.
        seed: Of resets, actions and draws.
        step_s: Time of one step of one environment.
        reset_s: Time of one reset.
    """
    steps = min(STEPS, int((COMPARING_S - 3 * reset_s) / max(3 * step_s, 1e-6)))
    first, second = vector.envs
    if steps < LEAST_STEPS or first is None or second is None:
        return False
    space = vector.single_action_space
    space.seed(seed)
    actions = [space.sample() for _ in range(steps)]
    alone: list[bytes] = []
    try:
        with global_draws_kept():
            for has_other in PLAYS:
                other = second if has_other else None
                shown = _shown(first, other, actions, observed, seed)
                if has_other and shown == alone:
                    return False
                if not has_other and alone and shown != alone:
                    return False
                alone = alone or shown
    except (Exception, HangError, SystemExit):
        return False
    return True


def _shown(
    first: gymnasium.Env[Any, Any],
    second: gymnasium.Env[Any, Any] | None,
    actions: Sequence[Any],
    observed: Layout,
    seed: int,
) -> list[bytes]:
    """What the first one shows, reset and step by step, with or without the second in between."""
    seen, alarm = Observed(first.observation_space, 1), Alarm(None)
    shown: list[bytes] = []

    def called(act: Callable[..., Any], *words: Any, **named: Any) -> Any:
        alarm.began_s = time.monotonic()
        return act(*words, **named)

    def note(observation: Any, *values: Any) -> None:
        seen.take(0, observation)
        rows = empty(observed.space, 1)
        observed.write(seen.values, rows)
        shown.append(repr(values).encode() + b"".join(row.tobytes() for row in rows.values()))

    def meanwhile(action: Any) -> None:
        if second is None:
            return
        with global_draws_kept():
            _, (_, terminated, truncated) = step_values(called(second.step, action))
            if terminated or truncated:
                called(second.reset)

    seed_global_draws(seed)
    try:
        with alarm:
            note(first_observation(called(first.reset, seed=seed32(seed, 0))))
            if second is not None:
                with global_draws_kept():
                    called(second.reset, seed=seed32(seed, 1))
            for action, others in zip(actions, reversed(actions), strict=True):
                observation, values = step_values(called(first.step, action))
                note(observation, *values)
                if True in values[1:]:
                    note(first_observation(called(first.reset)))
                meanwhile(others)
    finally:
        alarm.end()
    return shown
