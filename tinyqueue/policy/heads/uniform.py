"""Any action, as likely as any other: what a policy has to be better than."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tinyqueue.data.spaces import Array, Arrays, Space
from tinyqueue.policy.heads.head import single_discrete
from tinyqueue.policy.heads.masks import ValidDraws
from tinyqueue.wire.contract import Extra


class Uniform:
    """Uniformly random actions; looks at no output and records nothing.

    Args:
        actions: The action space.
    """

    outputs: tuple[str, ...] = ()
    extras: Mapping[str, Extra] = {}
    epsilons: tuple[float, ...] = ()

    def __init__(self, actions: Space) -> None:
        leaf = single_discrete(actions)
        (self._path,) = actions
        self._n, self._dtype = leaf.n, np.dtype(leaf.dtype)
        self._actions = np.empty((0, 0), self._dtype)
        self._valid_draws = ValidDraws()

    def begin(self, ticks: int, slots: int, rng: np.random.Generator, env_steps: int) -> None:
        self._actions = rng.integers(self._n, size=(ticks, slots), dtype=self._dtype)
        self._valid_draws.begin(ticks, slots, rng)

    def act(self, tick: int, outputs: Arrays, mask: Array | None = None) -> Arrays:
        actions = self._actions[tick]
        if mask is not None:
            actions[...] = self._valid_draws.draw(tick, mask)
        return {self._path: actions}

    def recorded(self) -> Arrays:
        return {}
