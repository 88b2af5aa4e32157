"""Random steps of a trial, timed and checked, and what is said when one fails."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import MultiDiscrete
from gymnasium.vector import VectorEnv

from tinyqueue.data.spaces import Array
from tinyqueue.envs.faults import failed
from tinyqueue.envs.info_numbers import note_largest
from tinyqueue.envs.results import require_finite
from tinyqueue.envs.side_by_side import SideBySide
from tinyqueue.envs.spaces import Layout, empty
from tinyqueue.errors import EnvironmentFailedError, TinyqueueError

TICKS = 50
"""Steps that each environment of a trial plays, with random actions."""
STEPPING_S = 1.2
"""Stepping ends after this many seconds, once there were :data:`LEAST_TICKS`."""
LEAST_TICKS = 3
LEAST_TICKS_S = 5.0
"""These end after this many seconds too, once there were two: a step may take longer than that."""
WARMS_UP = 10
"""A first tick that takes this many times what the others do does not count: something was loaded
or compiled in it."""

_OLD_RESET = "unexpected keyword argument"
_OLD_STEP = "values to unpack (expected"

Telling = Callable[[str], None]
"""Called with what is about to be done."""


class RandomSteps:
    """Random steps of a trial, timed and checked."""

    def __init__(
        self, name: str, vector: VectorEnv[Any, Any, Any], observed: Layout, seed: int
    ) -> None:
        self._name, self._vector, self._observed = name, vector, observed
        vector.action_space.seed(seed)
        vector.single_action_space.seed(seed)
        self.count = self.ended = 0
        self.seconds = self.slowest_s = self.first_s = 0.0
        self.lowest, self.highest = np.inf, -np.inf
        self.largest, self.info = dict[str, float](), dict[str, float]()

    def play(self, telling: Telling) -> None:
        """Plays :data:`TICKS` of them, or as many as time allows; each may raise its fault."""
        rows = empty(self._observed.space, self._vector.num_envs)
        telling(f"stepping {self._name}")
        while self.count < TICKS and (
            self.count < 2
            or self.seconds - self.first_s
            < (STEPPING_S if self.count >= LEAST_TICKS else LEAST_TICKS_S)
        ):
            doing = f"step {self.count + 1}"
            actions = self._sample()
            began_s = time.perf_counter()
            with explained(self._name, doing):
                observed, rewards, terminated, truncated, info = self._vector.step(actions)
                self._observed.write(observed, rows)
            taken_s = time.perf_counter() - began_s
            self.seconds += taken_s
            self.slowest_s = max(self.slowest_s, taken_s)
            self.first_s = self.first_s or taken_s
            self.count += 1
            require_finite(self._name, doing, rows)
            self.look(rows)
            infos = self._vector.infos if isinstance(self._vector, SideBySide) else [info]
            note_largest(infos, len(rewards), self.info)
            self._see(doing, np.asarray(rewards, np.float64))
            self.ended += int(np.count_nonzero(terminated | truncated))
            if taken_s > STEPPING_S:
                telling(f"stepping {self._name}: one step took {taken_s / len(rewards):.1f} s")

    @property
    def tick_s(self) -> float:
        """Mean time of a tick; without the first, if that one took many times as long."""
        if not self.count:
            return 0.0
        later_s = (self.seconds - self.first_s) / max(1, self.count - 1)
        if self.count > 1 and self.first_s > WARMS_UP * later_s and self.first_s > STEPPING_S:
            return later_s
        return self.seconds / self.count

    def look(self, rows: dict[str, Array]) -> None:
        """Remembers how large observations are."""
        for path, values in rows.items():
            if values.dtype.kind != "b":
                largest = max(abs(float(values.max())), abs(float(values.min())))
                self.largest[path] = max(self.largest.get(path, 0.0), largest)

    def _sample(self) -> Any:
        """Random actions among the valid ones."""
        masks = self._vector.action_masks if isinstance(self._vector, SideBySide) else None
        if masks is None:
            return self._vector.action_space.sample()
        one, rows = self._vector.single_action_space, list(masks.astype(np.int8))
        if isinstance(one, MultiDiscrete):
            ends = np.cumsum(one.nvec)[:-1]
            return np.stack([one.sample(mask=tuple(np.split(row, ends))) for row in rows])
        return np.stack([one.sample(mask=row) for row in rows])

    def _see(self, doing: str, rewards: Array) -> None:
        wrong = np.flatnonzero(~np.isfinite(rewards))
        if len(wrong):
            slot = int(wrong[0])
            raise EnvironmentFailedError(
                f"{self._name} gave the reward {rewards[slot]} in {doing} in slot {slot}. A reward "
                "must be a finite number (at most learner.max_abs_reward): correct step(), or "
                "wrap the environment",
                kind="reward",
            )
        self.lowest = min(self.lowest, float(rewards.min()))
        self.highest = max(self.highest, float(rewards.max()))


@contextmanager
def explained(name: str, doing: str) -> Iterator[None]:
    """Turns whatever is raised inside it into the environment's fault, old interfaces first."""
    try:
        yield
    except EnvironmentFailedError as error:
        cause = error.__cause__ or error.__context__
        raise (_old_interface(name, cause) or error) from error
    except (TinyqueueError, gymnasium.error.UnregisteredEnv):
        raise
    except (Exception, SystemExit) as error:
        raise (_old_interface(name, error) or failed(error, name, doing)) from error


def _old_interface(name: str, error: BaseException | None) -> EnvironmentFailedError | None:
    text = str(error)
    is_reset = isinstance(error, TypeError) and _OLD_RESET in text and "reset()" in text
    is_step = isinstance(error, ValueError | TypeError) and _OLD_STEP in text
    if not is_reset and not is_step:
        return None
    wanted = (
        "reset(seed=…, options=…) must take both arguments and return (observation, info)"
        if is_reset
        else "reset() must return (observation, info), and step() (observation, reward, "
        "terminated, truncated, info)"
    )
    return EnvironmentFailedError(
        f"{name} has an interface older than Gymnasium's: {text}. {wanted}. Correct the "
        "environment, or wrap it where it is registered",
        kind="old-api",
    )
