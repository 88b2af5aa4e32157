"""A game that only those who remember its first observation win."""

from __future__ import annotations

from typing import Any, cast

import gymnasium
from gymnasium import spaces

RECALL = "Recall-v0"


class Recall(gymnasium.Env[Any, Any]):
    """Shows 1 or 2, twice nothing, then asks with 3: the right answer gives 1.

    Without a memory of one's own, and without seeing one's last action, every policy wins half
    of its games.
    """

    observation_space = spaces.Discrete(4)
    action_space = spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[int, dict[str, Any]]:
        super().reset(seed=seed)
        self._shown, self._at = int(self.np_random.integers(2)), 0
        return self._shown + 1, {}

    def step(self, action: Any) -> tuple[int, float, bool, bool, dict[str, Any]]:
        self._at += 1
        if self._at == 4:
            return 0, float(action == self._shown), True, False, {}
        return (3 if self._at == 3 else 0), 0.0, False, False, {}


gymnasium.register(RECALL, cast(Any, Recall))
