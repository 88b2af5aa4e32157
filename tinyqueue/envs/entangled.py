"""Environments that disturb each other within one process, as those with global state do.

A simulator in a C library with a single world, or a class that keeps its state in itself, plays
well alone. Side by side, a step of one moves the other, and nothing fails: what is learned from is
wrong. So one is played alone and with another between its steps, and both ways must agree.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import gymnasium

from tinyqueue.data.seeds import seed32
from tinyqueue.envs.faults import is_environments
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
COMPARING_S = 1.0
"""Time for the first two of the plays that are compared. Slower environments are not compared."""
PLAYS = ("alone", "beside", "alone slowly", "alone", "beside", "alone slowly")
"""How the first one is played. Not beside another in every other play: environments may have two
levels in turn. Two pause between steps: what runs by the clock must not pass for what is shared."""


def are_entangled(vector: SideBySide, observed: Layout, seed: int, step_s: float) -> bool:
    """Whether steps of the second environment change what the first one shows.

    An environment that does not repeat itself even when it plays alone is not judged, nor is one
    that fails here: the random steps of the trial tell of faults.

    Args:
        vector: Two environments, which may have played before.
        observed: Their observations.
        seed: Of resets, actions and draws.
        step_s: Time of one step of one environment.
    """
    first, second = vector.envs
    if first is None or second is None:
        return False
    space = vector.single_action_space
    space.seed(seed)
    try:
        with global_draws_kept():
            # The first reset of all may have loaded what the others have.
            reset_s = _reset_s(first)
            steps = min(STEPS, int((COMPARING_S - 3 * reset_s) / max(3 * step_s, 1e-6)))
            if steps < LEAST_STEPS:
                return False
            actions = [space.sample() for _ in range(steps)]
            alone = _seen(first, None, actions, observed, seed)
            for play in PLAYS[1:]:
                is_beside = play == "beside"
                other = second if is_beside else None
                pause_s = 2 * step_s + 1e-4 if play == "alone slowly" else 0.0
                seen = _seen(first, other, actions, observed, seed, pause_s)
                if (seen == alone) == is_beside:
                    return False
    except BaseException as error:
        if not is_environments(error):
            raise
        return False
    return True


def _reset_s(environment: gymnasium.Env[Any, Any]) -> float:
    began_s = time.perf_counter()
    with _alarm() as called:
        called(environment.reset)
    return time.perf_counter() - began_s


def _seen(
    first: gymnasium.Env[Any, Any],
    second: gymnasium.Env[Any, Any] | None,
    actions: Sequence[Any],
    observed: Layout,
    seed: int,
    pause_s: float = 0.0,
) -> list[bytes]:
    """What the first one shows, reset and step by step, with or without the second in between."""
    values, seen = Observed(first.observation_space, 1), list[bytes]()

    def note(observation: Any, *others: Any) -> None:
        values.take(0, observation)
        rows = empty(observed.space, 1)
        observed.write(values.values, rows)
        seen.append(repr(others).encode() + b"".join(row.tobytes() for row in rows.values()))

    seed_global_draws(seed)
    with _alarm() as called:
        note(first_observation(called(first.reset, seed=seed32(seed, 0))))
        if second is not None:
            with global_draws_kept():
                called(second.reset, seed=seed32(seed, 1))
        for action, others in zip(actions, reversed(actions), strict=True):
            if pause_s:
                time.sleep(pause_s)
            observation, result = step_values(called(first.step, action))
            note(observation, *result)
            if True in result[1:]:
                note(first_observation(called(first.reset)))
            if second is not None:
                with global_draws_kept():
                    if True in step_values(called(second.step, others))[1][1:]:
                        called(second.reset)
    return seen


@contextmanager
def _alarm() -> Iterator[Callable[..., Any]]:
    """Calls of environments that are interrupted if they hang."""
    alarm = Alarm(None)

    def called(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        alarm.began_s = time.monotonic()
        return call(*args, **kwargs)

    try:
        with alarm:
            yield called
    finally:
        alarm.end()
