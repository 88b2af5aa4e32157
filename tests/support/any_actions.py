"""Games that are won by doing what is seen, one for each kind of action space.

Each pays 1 at most for a step: the share of the parts of the action that were right. An action
outside the space raises, so that a player that sends one cannot pass unnoticed.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

STEPS = 16
"""Of an episode, whose best return that is too."""


class Copying(gymnasium.Env[Any, Any]):
    """Shows a number for each part of the action and pays for the parts that match it."""

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self._at = 0
        return self._next(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        if not self.action_space.contains(action):
            raise ValueError(f"{action!r} is not in {self.action_space}")
        reward = self._share(action)
        self._at += 1
        return self._next(), reward, False, self._at == STEPS, {}

    def _next(self) -> Any:
        """Draws what is wanted next and shows it."""
        raise NotImplementedError

    def _share(self, action: Any) -> float:
        raise NotImplementedError


class CopyNumbers(Copying):
    """MultiDiscrete with starts of its own, seen as a Tuple."""

    action_space = spaces.MultiDiscrete([3, 4], start=[5, -2])
    observation_space = spaces.Tuple([spaces.Discrete(3), spaces.MultiDiscrete([4])])

    def _next(self) -> Any:
        self._wanted = self.np_random.integers([3, 4])
        return int(self._wanted[0]), self._wanted[1:]

    def _share(self, action: Any) -> float:
        return float(np.mean(action - self.action_space.start == self._wanted))


class CopyBits(Copying):
    """MultiBinary."""

    action_space = spaces.MultiBinary(4)
    observation_space = spaces.MultiBinary(4)

    def _next(self) -> Any:
        self._wanted = self.np_random.integers(2, size=4, dtype=np.int8)
        return self._wanted

    def _share(self, action: Any) -> float:
        return float(np.mean(action == self._wanted))


class Reach(Copying):
    """Box with bounds that differ by entry: pays for being near the target that is shown."""

    action_space = spaces.Box(np.array([-1.0, 10.0], np.float32), np.array([3.0, 12.0], np.float32))
    observation_space = spaces.Box(-1.0, 1.0, (2,))

    def _next(self) -> Any:
        self._wanted = self.np_random.uniform(-0.8, 0.8, size=2).astype(np.float32)
        return self._wanted

    def _share(self, action: Any) -> float:
        low, high = self.action_space.low, self.action_space.high
        reached = 2.0 * (action - low) / (high - low) - 1.0
        return float(np.mean(np.maximum(1.0 - np.abs(reached - self._wanted), 0.0)))


class CopyAll(Copying):
    """A Dict of all of them, nested: Discrete with a start, MultiBinary, and a Tuple with a Box."""

    action_space = spaces.Dict(
        {
            "go": spaces.Discrete(3, start=-1),
            "press": spaces.MultiBinary(2),
            "arm": spaces.Tuple([spaces.Box(-2.0, 2.0, (1,)), spaces.MultiDiscrete([3])]),
        }
    )
    observation_space = spaces.Dict(
        {
            "go": spaces.Discrete(3),
            "press": spaces.MultiBinary(2),
            "aim": spaces.Box(-1.0, 1.0, (1,)),
            "tool": spaces.Discrete(3),
        }
    )

    def _next(self) -> Any:
        rng = self.np_random
        self._wanted: dict[str, Any] = {
            "go": int(rng.integers(3)),
            "press": rng.integers(2, size=2, dtype=np.int8),
            "aim": rng.uniform(-0.8, 0.8, size=1).astype(np.float32),
            "tool": int(rng.integers(3)),
        }
        return self._wanted

    def _share(self, action: Any) -> float:
        aim, tool = action["arm"]
        near = 1.0 - abs(float(aim[0]) / 2.0 - float(self._wanted["aim"][0]))
        parts = [
            float(action["go"] + 1 == self._wanted["go"]),
            float(np.mean(action["press"] == self._wanted["press"])),
            max(near, 0.0),
            float(tool[0] == self._wanted["tool"]),
        ]
        return float(np.mean(parts))


class Masked(gymnasium.Env[Any, Any]):
    """Some of five actions are allowed; any other raises. Pays for the largest allowed one."""

    action_space = spaces.Discrete(5)
    observation_space = spaces.Dict(
        {"seen": spaces.MultiBinary(5), "allowed": spaces.MultiBinary(5)}
    )

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self._at = 0
        return self._next()

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        if not self._allowed[action]:
            raise ValueError(f"action {action} is not allowed: {self._allowed}")
        reward = float(action == np.flatnonzero(self._allowed).max())
        self._at += 1
        observed, info = self._next()
        return observed, reward, False, self._at == STEPS, info

    def _next(self) -> tuple[Any, dict[str, Any]]:
        self._allowed = np.zeros(5, np.int8)
        self._allowed[self.np_random.choice(5, size=2, replace=False)] = 1
        observed = {"seen": self._allowed, "allowed": self._allowed}
        return observed, {"action_mask": self._allowed}


class Push(Copying):
    """A Dict within a Dict, with a Box without bounds: pays for nearness."""

    action_space = spaces.Dict(
        {
            "hand": spaces.Dict({"grip": spaces.Discrete(2, start=1)}),
            "push": spaces.Box(-np.inf, np.inf, (1,), np.float32),
        }
    )
    observation_space = spaces.Box(-1.0, 1.0, (2,))

    def _next(self) -> Any:
        self._wanted = self.np_random.uniform(-1.0, 1.0, size=2).astype(np.float32)
        return self._wanted

    def _share(self, action: Any) -> float:
        grips = action["hand"]["grip"] == 1 + int(self._wanted[0] > 0)
        near = max(1.0 - abs(float(action["push"][0] - self._wanted[1])), 0.0)
        return (float(grips) + near) / 2


GAMES = {
    "CopyNumbers-v0": CopyNumbers,
    "CopyBits-v0": CopyBits,
    "Reach-v0": Reach,
    "CopyAll-v0": CopyAll,
    "Push-v0": Push,
    "Masked-v0": Masked,
}

for name, game in GAMES.items():
    make: Any = game
    gymnasium.register(name, make)
