"""The best action every time: the head of the games that decide."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tinyqueue.data.spaces import Array, Arrays, Space
from tinyqueue.policy.heads.head import single_discrete
from tinyqueue.policy.heads.masks import MASKED
from tinyqueue.wire.contract import Extra


class Greedy:
    """The action of the largest logit or Q value, the first of equals; records nothing.

    Args:
        actions: The action space.
        output: The network output that ranks them.
    """

    extras: Mapping[str, Extra] = {}
    epsilons: tuple[float, ...] = ()

    def __init__(self, actions: Space, output: str) -> None:
        self.outputs = (output,)
        self._output = output
        self._dtype = np.dtype(single_discrete(actions).dtype)
        (self._path,) = actions

    def begin(self, ticks: int, slots: int, rng: np.random.Generator, env_steps: int) -> None:
        """Nothing to draw."""

    def act(self, tick: int, outputs: Arrays, mask: Array | None = None) -> Arrays:
        values = outputs[self._output]
        if mask is not None:
            values = np.where(mask, values, MASKED)
        return {self._path: values.argmax(axis=1).astype(self._dtype)}

    def recorded(self) -> Arrays:
        return {}
