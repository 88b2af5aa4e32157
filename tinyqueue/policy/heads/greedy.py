"""The best action every time: the heads of the games that decide."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tinyqueue.data.joint_actions import JointActions
from tinyqueue.data.spaces import Array, Arrays, Space
from tinyqueue.distributions import BoxFamily, Factored
from tinyqueue.policy.heads.masks import MASKED
from tinyqueue.wire.contract import Extra


class Greedy:
    """The action of the largest logit or Q value, the first of equals; records nothing.

    Args:
        actions: The action space, whose joint actions are ranked.
        output: The network output that ranks them.
    """

    extras: Mapping[str, Extra] = {}
    epsilons: tuple[float, ...] = ()

    def __init__(self, actions: Space, output: str) -> None:
        self.outputs = (output,)
        self._output = output
        self._joint = JointActions(actions)
        self._dtype = np.dtype(self._joint.dtype)
        self._path = self._joint.path

    def begin(self, ticks: int, slots: int, rng: np.random.Generator, env_steps: int) -> None:
        """Nothing to draw."""

    def act(self, tick: int, outputs: Arrays, mask: Array | None = None) -> Arrays:
        values = outputs[self._output]
        if mask is not None:
            values = np.where(self._joint.mask(mask), values, MASKED)
        best = values.argmax(axis=1).astype(self._dtype)
        return {self._path: self._joint.entries(best)}

    def recorded(self) -> Arrays:
        return {}


class Mode:
    """The most probable action of a policy's distribution; records nothing.

    Args:
        actions: The action space.
        box: Family of real numbers.
    """

    extras: Mapping[str, Extra] = {}
    epsilons: tuple[float, ...] = ()

    def __init__(self, actions: Space, box: BoxFamily = "gaussian") -> None:
        self._policy = Factored(actions, box)
        self.outputs = tuple(self._policy.parameters)

    def begin(self, ticks: int, slots: int, rng: np.random.Generator, env_steps: int) -> None:
        """Nothing to draw."""

    def act(self, tick: int, outputs: Arrays, mask: Array | None = None) -> Arrays:
        if mask is not None:
            (name,) = self.outputs
            outputs = {name: np.where(mask, outputs[name], MASKED)}
        return self._policy.mode(outputs)

    def recorded(self) -> Arrays:
        return {}
