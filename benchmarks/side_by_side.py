"""The cost of stepping several environments: tinyqueue's SideBySide against Gymnasium's.

python benchmarks/side_by_side.py
"""

from __future__ import annotations

import time
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector import SyncVectorEnv, VectorEnv
from numpy.typing import NDArray

from tinyqueue.envs.side_by_side import SideBySide

SLOTS, STEPS, ROUNDS = 32, 200, 9


class Nothing(gymnasium.Env[Any, Any]):
    """Does nothing, so that all time is spent in the vector environment."""

    observation_space: spaces.Space[Any] = spaces.Box(-1, 1, (4,), np.float32)
    action_space = spaces.Discrete(2)
    shown: NDArray[Any] = np.zeros(4, np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        """Costs nothing."""
        return self.shown, {}

    def step(self, action: Any) -> Any:
        """Costs nothing."""
        return self.shown, 1.0, False, False, {}


class Images(Nothing):
    """The same with images as large as Atari's."""

    observation_space = spaces.Box(0, 255, (84, 84, 3), np.uint8)
    shown = np.zeros((84, 84, 3), np.uint8)


def microseconds(vector: VectorEnv[Any, Any, Any]) -> float:
    """CPU time of one step of all slots, in µs."""
    actions = [vector.action_space.sample() for _ in range(STEPS)]
    began_s = time.process_time()
    for action in actions:
        vector.step(action)
    return (time.process_time() - began_s) / STEPS * 1e6


def main() -> None:
    """Prints a row per environment."""
    gymnasium.register("Nothing-v0", lambda **_: Nothing())
    gymnasium.register("Images-v0", lambda **_: Images())
    for name in ("Acrobot-v1", "Pendulum-v1", "FrozenLake-v1", "Nothing-v0", "Images-v0"):

        def make(slot: int = 0, name: str = name) -> gymnasium.Env[Any, Any]:
            return gymnasium.make(name, disable_env_checker=True)

        vectors = [SyncVectorEnv([make] * SLOTS, copy=False), SideBySide(make, SLOTS, name)]
        best = [float("inf")] * len(vectors)
        for vector in vectors:
            vector.reset(seed=list(range(SLOTS)))  # type: ignore[arg-type]  # one each is allowed
        for _ in range(ROUNDS):
            best = [min(b, microseconds(v)) for b, v in zip(best, vectors, strict=True)]
        print(f"{name:16}{best[0]:8.0f} µs Gymnasium{best[1]:8.0f} µs SideBySide")


if __name__ == "__main__":
    main()
