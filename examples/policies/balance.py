"""A policy that is no network: sessions of CartPole-v1 for DQN, played by a rule.

    PYTHONPATH=examples/policies TINYQUEUE_ENVIRONMENT_MODULES=balance \
        tinyqueue train cartpole-dqn --set session.policy=balance:Balance

DQN never plays here, except to be evaluated: it learns from what the rule has done. A rule that
always acts alike would teach nothing of other actions, so this one acts at random now and then.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt


class Balance:
    """Pushes the cart to where the pole falls, and at times to either side.

    Args:
        observation_space, action_space: Those of one environment.
        slots: B, the environments side by side.
        seed: Seed of all draws.
        random: Share of actions that are drawn uniformly.
    """

    def __init__(
        self,
        observation_space: gymnasium.Space[Any],
        action_space: gymnasium.spaces.Discrete,
        slots: int,
        seed: int,
        *,
        random: float = 0.5,
    ) -> None:
        self._actions = int(action_space.n)
        self._random = random
        self._rng = np.random.default_rng(seed)

    def act(
        self, observations: npt.NDArray[np.float32], is_first: npt.NDArray[np.bool_]
    ) -> npt.NDArray[Any]:
        """One action per slot.

        Args:
            observations: ``[B, 4]``: position, speed, angle, angular speed.
            is_first: ``[B]``, true at an episode's first observation; a rule without a memory does
                not need it.
        """
        falls_right = observations[:, 2] + observations[:, 3] > 0
        drawn = self._rng.integers(self._actions, size=len(observations))
        is_drawn = self._rng.random(len(observations)) < self._random
        return np.where(is_drawn, drawn, falls_right)
