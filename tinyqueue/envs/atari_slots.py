"""ale-py's vector environment as tinyqueue wants it: single frames, a seed per slot, lives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium.spaces import Box
from gymnasium.vector import VectorEnv, VectorWrapper
from gymnasium.vector.utils import batch_space

from tinyqueue.data.spaces import Array

Games = VectorEnv[Any, Any, Any]
Step = tuple[Any, Array, Array, Array, dict[str, Any]]


class AtariSlots(VectorWrapper):
    """Observes ``[B, H, W]`` without the axis of a stack of one, and takes a seed per slot.

    Args:
        games: AtariVectorEnv with ``stack_num=1``, perhaps wrapped.
    """

    def __init__(self, games: Games) -> None:
        super().__init__(games)
        stack = games.single_observation_space
        assert isinstance(stack, Box)
        self.single_observation_space = Box(0, 255, stack.shape[1:], np.uint8)
        self.observation_space = batch_space(self.single_observation_space, games.num_envs)

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Any, dict[str, Any]]:
        given: Any = seed if seed is None or isinstance(seed, int) else np.array(seed)
        frames, info = self.env.reset(seed=given, options=options)
        return frames[:, 0], info

    def step(self, actions: Any) -> Step:
        frames, *rest = self.env.step(actions)
        rewards, terminated, truncated, info = rest
        return frames[:, 0], rewards, terminated, truncated, info


class LivesOfAll(VectorWrapper):
    """:class:`~tinyqueue.envs.atari_wrappers.Lives` for all slots at once.

    With ``ends`` the tick of ``press`` is an autoreset tick: it rewards nothing, and no end is
    told on it. A life lost on it goes unnoticed, and a game that ends on it begins anew a tick
    later; either takes two losses within a few frames.

    Args:
        games: AtariVectorEnv without life-loss settings of its own.
        press, ends: As there.
    """

    def __init__(self, games: Games, press: int, *, ends: bool) -> None:
        super().__init__(games)
        self._press, self._ends = press, ends
        self._lives = np.zeros(games.num_envs, np.int32)
        self._goes_on = np.zeros(games.num_envs, bool)
        self._held = np.zeros(games.num_envs)

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Any, dict[str, Any]]:
        given: Any = seed
        frames, info = self.env.reset(seed=given, options=options)
        self._lives = info["lives"].copy()
        self._goes_on[:] = False
        self._held[:] = 0
        return frames, info

    def step(self, actions: Any) -> Step:
        begins = self._goes_on
        if begins.any():
            actions = np.where(begins, self._press, actions)
        frames, rewards, terminated, truncated, info = self.env.step(actions)
        lives = info["lives"]
        lost = (lives > 0) & (lives < self._lives) & ~terminated & ~truncated
        self._lives = lives.copy()
        info["life_begun"] = begins
        self._goes_on = lost
        if self._ends:
            self._goes_on = lost & ~begins
            scored = rewards + self._held
            rewards, self._held = np.where(begins, 0, scored), np.where(begins, scored, 0)
            terminated = (terminated & ~begins) | self._goes_on
            truncated = truncated & ~begins
        return frames, rewards, terminated, truncated, info
