"""Any action, as likely as any other: what a policy has to be better than."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tinyqueue.data.spaces import Array, Arrays, Leaf
from tinyqueue.wire.contract import Extra


class Uniform:
    """Uniformly random actions; looks at no output and records nothing.

    Args:
        actions: The action space.
    """

    outputs: tuple[str, ...] = ()
    extras: Mapping[str, Extra] = {}
    epsilons: tuple[float, ...] = ()

    def __init__(self, actions: Leaf) -> None:
        self._n = actions.n
        self._dtype = np.dtype(actions.dtype)
        self._actions = np.empty((0, 0), self._dtype)

    def begin(self, ticks: int, slots: int, rng: np.random.Generator, env_steps: int) -> None:
        self._actions = rng.integers(self._n, size=(ticks, slots), dtype=self._dtype)

    def act(self, tick: int, outputs: Arrays) -> Array:
        actions: Array = self._actions[tick]
        return actions

    def recorded(self) -> Arrays:
        return {}
