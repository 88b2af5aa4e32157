"""Environments in which most actions are not valid, and raise."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

ACTIONS = 4


class Doors(gymnasium.Env[Any, Any]):
    """Of four doors some are open; which, changes at every step. A closed one raises.

    An episode begins with door 0 alone and ends after ``length`` steps with all of them closed.

    Args:
        where: ``observation`` or ``info``: where the mask is.
        length: Steps per episode.
        closed_at: At this step of an episode no door is open, though it goes on.
    """

    action_space = spaces.Discrete(ACTIONS)

    def __init__(self, where: str = "observation", length: int = 5, closed_at: int = 0) -> None:
        self._where, self._length, self._closed_at = where, length, closed_at
        parts: dict[str, spaces.Space[Any]] = {"step": spaces.Box(0, 1000, (1,), np.float32)}
        if where == "observation":
            parts["doors"] = spaces.MultiBinary(ACTIONS)
        self.observation_space = spaces.Dict(parts)
        self.at, self.open = 0, np.zeros(ACTIONS, np.int8)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.at, self.open = 0, np.array([1, 0, 0, 0], np.int8)
        return self._shown()

    def step(self, action: Any) -> Any:
        if not self.open[action]:
            raise RuntimeError(f"door {action} is closed")
        self.at += 1
        is_over = self.at == self._length
        self.open = self.np_random.integers(2, size=ACTIONS).astype(np.int8)
        self.open[self.np_random.integers(ACTIONS)] = 1
        if is_over or self.at == self._closed_at:
            self.open[:] = 0
        observation, info = self._shown()
        return observation, 1.0, is_over, False, info

    def _shown(self) -> tuple[Any, dict[str, Any]]:
        observation: dict[str, Any] = {"step": np.array([self.at], np.float32)}
        if self._where == "observation":
            return observation | {"doors": self.open.copy()}, {}
        return observation, {"action_mask": self.open.copy()}


class Pairs(gymnasium.Env[Any, Any]):
    """Acts in two numbers, of which some values raise; masks as Gymnasium has them, in info."""

    observation_space = spaces.Box(0, 1, (1,), np.float32)
    action_space = spaces.MultiDiscrete([2, 3])

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.at = 0
        return self._shown()

    def step(self, action: Any) -> Any:
        if not all(mask[value] for mask, value in zip(self.masks, action, strict=True)):
            raise RuntimeError(f"{action} is not valid")
        self.at += 1
        observation, info = self._shown()
        return observation, 1.0, self.at == 20, False, info

    def _shown(self) -> tuple[Any, dict[str, Any]]:
        self.masks = tuple(
            self.np_random.permutation([1] + [0] * n).astype(np.int8) for n in (1, 2)
        )
        return np.zeros(1, np.float32), {"action_mask": self.masks}
