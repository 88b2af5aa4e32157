"""CartPole at 50 ticks per second, whatever the machine: a game that balances lasts ten seconds."""

from __future__ import annotations

import time
from typing import Any, cast

import gymnasium
from gymnasium.envs.classic_control import CartPoleEnv


class SlowPole(CartPoleEnv):
    def step(self, action: Any) -> Any:
        time.sleep(0.02)
        return super().step(action)


gymnasium.register("SlowPole-v0", entry_point=cast(Any, SlowPole), max_episode_steps=500)
