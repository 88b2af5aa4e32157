"""Games in which the right answer is seen: in three kinds of leaf together, or in one image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import gymnasium
import numpy as np
from gymnasium import spaces

STEPS = 16
"""Per episode: the return is the number of right answers."""


class Senses(gymnasium.Env[Any, Any]):
    """A picture and a vector show one bit each, and the task says which of them is asked for.

    Task 0 asks for the picture's bit, task 1 for the vector's, task 2 for the opposite of the
    picture's. Whoever does not see the vector gets 2/3 + 1/6 of the answers right at best, or
    13.3 per episode; without the picture or the task it is 2/3, or 10.7.
    """

    observation_space = spaces.Dict(
        {
            "picture": spaces.Box(0, 255, (10, 10, 3), np.uint8),
            "arm-joints": spaces.Box(-1.0, 1.0, (3,), np.float32),
            "task": spaces.Discrete(3),
        }
    )
    action_space = spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self._at = 0
        return self._next(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        right = float(action == self._answer)
        self._at += 1
        return self._next(), right, self._at == STEPS, False, {}

    def _next(self) -> dict[str, Any]:
        rng = self.np_random
        seen, felt, task = (int(rng.integers(count)) for count in (2, 2, 3))
        self._answer = (seen, felt, 1 - seen)[task]
        joints = rng.uniform(-1.0, 1.0, 3).astype(np.float32)
        joints[1] = 0.7 if felt else -0.7
        picture = rng.integers(0, 60, (10, 10, 3), dtype=np.uint8)
        row, column = int(rng.integers(8)), int(rng.integers(3)) + 5 * seen
        picture[row : row + 2, column : column + 2, int(rng.integers(3))] = 250
        return {"picture": picture, "arm-joints": joints, "task": task}


class Halves(gymnasium.Env[Any, Any]):
    """A bright spot in the left or the right half of an image: which is it?

    Args:
        shape: Of the image.
        axis: Which of its axes is its width.
        dtype: ``uint8`` from 0 to 255, or ``float32`` from 0 to 1.
    """

    action_space = spaces.Discrete(2)

    def __init__(self, shape: Sequence[int], axis: int, dtype: str = "uint8") -> None:
        self._axis, self._high = axis, 255 if dtype == "uint8" else 1
        self.observation_space = spaces.Box(0, self._high, tuple(shape), cast(Any, np.dtype(dtype)))

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self._at = 0
        return self._next(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        right = float(action == self._answer)
        self._at += 1
        return self._next(), right, self._at == STEPS, False, {}

    def _next(self) -> Any:
        space = cast(spaces.Box, self.observation_space)
        self._answer = int(self.np_random.integers(2))
        image = np.zeros(space.shape, space.dtype)
        corner = [int(self.np_random.integers(size)) for size in space.shape]
        half, spot = space.shape[self._axis] // 2, max(1, space.shape[self._axis] // 8)
        corner[self._axis] = int(self.np_random.integers(half - spot + 1))
        if self._answer:
            corner[self._axis] += space.shape[self._axis] - half
        image[tuple(slice(start, start + spot) for start in corner)] = self._high
        return image


gymnasium.register("Senses-v0", cast(Any, Senses))
gymnasium.register("Halves-v0", cast(Any, Halves))
