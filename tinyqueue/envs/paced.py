"""Measures how soon an environment that owns its clock gets its actions."""

from __future__ import annotations

import functools
import gc
import sys
import time
from collections.abc import Iterable
from typing import Any

import gymnasium
import numpy as np

from tinyqueue.data.pace import Pace
from tinyqueue.envs.faults import BrokenRuleError, shown

MISSED_TICKS = "missed_ticks"
"""Key of a step's info: ticks since the step before for which the environment got no action."""
SWITCH_S = 0.0005
"""How long another thread may keep the interpreter: 5 ms, the default, is a third of a tick at
60 Hz, and whoever plays gets the interpreter back several times in each."""
_MOST = 2**31
# More in one step is a mistake.


class Paced(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Times every step from the return of an observation to the call with its action.

    An episode's last observation is not answered, so it is not timed.

    Args:
        environment: The environment itself, below all wrappers of tinyqueue.
        tick_s: Seconds between two of its ticks; None if not known.
    """

    def __init__(
        self, environment: gymnasium.Env[Any, Any], tick_s: float | None, clock: Any = None
    ) -> None:
        super().__init__(environment)
        self._tick_s = tick_s
        self._clock = clock or time.perf_counter
        self._observed_s: float | None = None
        self._seconds: list[float] = []
        self._missed = self._late = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        """Resets the environment."""
        self._observed_s = None
        result = self.env.reset(seed=seed, options=options)
        self._observed_s = self._clock()
        return result

    def step(self, action: Any) -> Any:
        """Steps the environment.

        Raises:
            BrokenRuleError: ``info["missed_ticks"]`` is not a count.
        """
        if self._observed_s is not None:
            took_s = self._clock() - self._observed_s
            self._seconds.append(took_s)
            if self._tick_s is not None:
                self._late += int(took_s / self._tick_s)
        self._observed_s = None
        result: Any = self.env.step(action)
        now_s = self._clock()
        if isinstance(result, tuple) and len(result) == 5:
            _, _, terminated, truncated, info = result
            if isinstance(info, dict) and MISSED_TICKS in info:
                self._missed += _count(info[MISSED_TICKS])
            if not terminated and not truncated:
                self._observed_s = now_s
        return result

    def take_pace(self) -> Pace:
        """The steps since the last call."""
        pace = Pace.of(self._seconds, self._missed, self._late)
        self._seconds, self._missed, self._late = [], 0, 0
        return pace


@functools.cache
def prepare_process() -> None:
    """Makes other threads, and the garbage of what has been imported, cost a player little.

    Once per process: what is frozen is never collected.
    """
    sys.setswitchinterval(SWITCH_S)
    # A full collection of a worker's objects takes 20 ms and more; from here on they are exempt.
    gc.collect()
    gc.freeze()


def take_pace(environments: Iterable[gymnasium.Env[Any, Any] | None]) -> Pace | None:
    """The pace of the first environment that is timed; None if none is."""
    for environment in environments:
        inner = environment
        while isinstance(inner, gymnasium.Wrapper):
            if isinstance(inner, Paced):
                return inner.take_pace()
            inner = inner.env
    return None


def _count(value: Any) -> int:
    if isinstance(value, int | float | np.integer | np.floating) and 0 <= value < _MOST:
        return int(value)
    raise BrokenRuleError(
        "missed-ticks",
        f'info["{MISSED_TICKS}"] is {shown(value)}; it must be the number of ticks since the step '
        "before for which the environment got no action",
    )
