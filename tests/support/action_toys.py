"""One-step-at-a-time tasks for every kind of action space: do what the observation says.

Every environment asserts that an action is one of its space, rewards how near it is to what was
asked for (0 at worst, 1 at best for each step), and ends after eight steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from tinyqueue.data.spaces import Array

STEPS = 8


class Toy(gymnasium.Env):
    """Asks for values of ``asked`` numbers from −1 to 1, and scores what is done by ``score``."""

    action_space: gymnasium.Space[Any]
    asked: int

    def __init__(self) -> None:
        self.observation_space = spaces.Box(-1, 1, (self.asked,), np.float32)

    def reset(
        self, *, seed: int | None = None, options: Any = None
    ) -> tuple[Array, dict[str, Any]]:
        super().reset(seed=seed)
        self.at = 0
        return self._ask(), {}

    def step(self, action: Any) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        assert action in self.action_space, action
        reward = float(self.score(action))
        self.at += 1
        return self._ask(), reward, self.at == STEPS, False, {}

    def score(self, action: Any) -> float:
        raise NotImplementedError

    def _ask(self) -> Array:
        self.wanted = self.np_random.uniform(-1, 1, self.asked).astype(np.float32)
        return self.wanted


class Switches(Toy):
    """MultiDiscrete with entries of 2 and 3 values that begin at 1 and −1."""

    action_space = spaces.MultiDiscrete([2, 3], start=[1, -1])
    asked = 2

    def score(self, action: Array) -> float:
        first = 1 + int(self.wanted[0] > 0)
        second = int(np.round(self.wanted[1] * 1.5).clip(-1, 1))
        return (int(action[0] == first) + int(action[1] == second)) / 2


class Lamps(Toy):
    """MultiBinary: each lamp is lit where its number is above 0."""

    action_space = spaces.MultiBinary(4)
    asked = 4

    def score(self, action: Array) -> float:
        return float(np.mean(action == (self.wanted > 0)))


class Reach(Toy):
    """Box with bounds of its own for each of two joints, which are to be where is asked for."""

    action_space = spaces.Box(np.array([-2.0, 0.0]), np.array([2.0, 10.0]), dtype=np.float64)
    asked = 2

    def score(self, action: Array) -> float:
        at = (action - [0.0, 5.0]) / [2.0, 5.0]
        return float(1 - np.abs(at - self.wanted).mean() / 2)


class Arm(Toy):
    """Dict of all kinds, one of them nested and one without bounds."""

    action_space = spaces.Dict(
        {
            "hand": spaces.Dict(
                {"grip": spaces.Discrete(2, start=1), "lamps": spaces.MultiBinary(2)}
            ),
            "keys": spaces.MultiDiscrete([2, 3]),
            "push": spaces.Box(-np.inf, np.inf, (1,), np.float32),
            "turn": spaces.Tuple([spaces.Box(-3, 5, (2,), np.float32)]),
        }
    )
    asked = 6

    def score(self, action: Any) -> float:
        wanted = self.wanted
        right = [
            action["hand"]["grip"] == 1 + int(wanted[0] > 0),
            (action["hand"]["lamps"] == (wanted[1:3] > 0)).mean(),
            action["keys"][0] == int(wanted[3] > 0),
            1 - min(abs(action["push"][0] - wanted[4]) / 2, 1),
            1 - abs((action["turn"][0].mean() - 1) / 4 - wanted[5]) / 2,
        ]
        return float(np.mean(right))


TOYS: dict[str, Any] = {
    "Switches-v0": Switches,
    "Lamps-v0": Lamps,
    "Reach-v0": Reach,
    "Arm-v0": Arm,
}


@contextmanager
def registered() -> Iterator[None]:
    """Gymnasium knows them by name for the duration."""
    for name, toy in TOYS.items():
        gymnasium.register(name, toy)
    try:
        yield
    finally:
        for name in TOYS:
            del gymnasium.registry[name]
