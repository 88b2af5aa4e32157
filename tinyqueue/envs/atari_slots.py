"""ale-py's vector environment as tinyqueue needs it: single frames, a seed per slot, lives."""

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
    """Observes ``[B, H, W]``, without the axis of a stack of one, and takes a seed per slot.

    Args:
        games: An AtariVectorEnv with ``stack_num=1``, perhaps wrapped.
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
        """First observations ``[B, H, W]`` (``[B, H, W, 3]`` in colour) and the infos."""
        given: Any = seed if seed is None or isinstance(seed, int) else np.array(seed)
        frames, info = self.env.reset(seed=given, options=options)
        return frames[:, 0], info

    def step(self, actions: Any) -> Step:
        """Steps all slots by actions ``[B]``; observations as of :meth:`reset`."""
        frames, *rest = self.env.step(actions)
        rewards, terminated, truncated, info = rest
        return frames[:, 0], rewards, terminated, truncated, info


class _Begun(VectorWrapper):
    """A wrapper whose state starts over with every reset."""

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Any, dict[str, Any]]:
        given: Any = seed
        frames, info = self.env.reset(seed=given, options=options)
        self._begin(info)
        return frames, info

    def _begin(self, info: dict[str, Any]) -> None:
        raise NotImplementedError


class OpenedAll(_Begun):
    """:class:`~tinyqueue.envs.atari_wrappers.Opened` for all slots at once.

    Args:
        games: An AtariVectorEnv.
        fire, ticks: As in that class.
    """

    def __init__(self, games: Games, fire: int, ticks: int) -> None:
        super().__init__(games)
        self._fire, self._ticks = fire, ticks
        self._left = np.full(games.num_envs, ticks)
        self._ended = np.zeros(games.num_envs, bool)

    def _begin(self, info: dict[str, Any]) -> None:
        self._left[:] = self._ticks
        self._ended[:] = False

    def step(self, actions: Any) -> Step:
        """Steps all slots by actions ``[B]``, with FIRE in slots whose game has just begun."""
        result = self.env.step(np.where(self._left > 0, self._fire, actions))
        # After an end this was the reset tick, and the next tick is the game's first.
        self._left = np.where(self._ended, self._ticks, np.maximum(self._left - 1, 0))
        self._ended = result[2] | result[3]
        return result


class LivesOfAll(_Begun):
    """:class:`~tinyqueue.envs.atari_wrappers.Lives` for all slots at once.

    With ``ends`` the tick of ``press`` is an autoreset tick: its reward is zero and it reports no
    end. A life lost on it goes unnoticed, and a game that ends on it restarts a tick later; either
    takes two losses within a few frames.

    Args:
        games: An AtariVectorEnv without life-loss settings of its own.
        press, ends, ticks: As in that class.
    """

    def __init__(self, games: Games, press: int, *, ends: bool, ticks: int = 1) -> None:
        super().__init__(games)
        self._press, self._ends, self._ticks = press, ends, 1 if ends else ticks
        self._left = np.zeros(games.num_envs, int)
        self._lives = np.zeros(games.num_envs, np.int32)
        self._goes_on = np.zeros(games.num_envs, bool)
        self._held = np.zeros(games.num_envs)

    def _begin(self, info: dict[str, Any]) -> None:
        self._lives = info["lives"].copy()
        self._goes_on[:] = False
        self._left[:] = 0
        self._held[:] = 0

    def step(self, actions: Any) -> Step:
        """Steps all slots by actions ``[B]``, with ``press`` in slots where a life begins."""
        begins = self._goes_on
        self._left = np.where(begins, self._ticks, self._left)
        if self._left.any():
            actions = np.where(self._left > 0, self._press, actions)
            self._left = np.maximum(self._left - 1, 0)
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
