"""The environment that most cases spoil in one place: twenty steps, action 1 earns 1."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

STEPS = 20
Stepped = tuple[Any, Any, Any, Any, Any]


class Small(gymnasium.Env):
    observation_space: spaces.Space = spaces.Box(0, 1, (2,), np.float32)
    action_space: spaces.Space = spaces.Discrete(2)
    steps = STEPS

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, Any]:
        super().reset(seed=seed)
        self.t = 0
        return self.observe(), {}

    def step(self, action: Any) -> Stepped:
        self.t += 1
        return self.observe(), self.reward(action), self.t >= self.steps, False, {}

    def observe(self) -> Any:
        return np.array([self.t / self.steps, 1], np.float32)

    def reward(self, action: Any) -> Any:
        return float(action == 1)


def register(*classes: type, **options: Any) -> None:
    """Each under its own name and version 0."""
    for one in classes:
        gymnasium.register(f"{one.__name__}-v0", entry_point=one, **options)
