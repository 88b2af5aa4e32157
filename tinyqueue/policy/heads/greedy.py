"""Always the best action: the heads of greedy evaluation episodes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tinyqueue.data.joint_actions import JointActions
from tinyqueue.data.spaces import Array, Arrays, Space
from tinyqueue.distributions import BoxFamily, Factored
from tinyqueue.distributions.categorical import masked
from tinyqueue.wire.contract import Extra


class Greedy:
    """The joint action with the largest logit or Q value, the first in a tie. Records nothing.

    Args:
        actions: The action space.
        output: The network output ``[B, n]`` that ranks joint actions.
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
        """Does nothing: there is nothing to draw."""

    def act(self, tick: int, outputs: Arrays, mask: Array | None = None) -> Arrays:
        """The best joint action of each slot, among valid ones with a mask."""
        values = outputs[self._output]
        if mask is not None:
            values = masked(np, values, self._joint.valid(mask))
        best = values.argmax(axis=1).astype(self._dtype)
        return {self._path: self._joint.entries(best)}

    def recorded(self) -> Arrays:
        """Nothing."""
        return {}


class Mode:
    """The most probable action of a policy's distribution. Records nothing.

    Args:
        actions: The action space.
        box: The family of Box leaves.
    """

    extras: Mapping[str, Extra] = {}
    epsilons: tuple[float, ...] = ()

    def __init__(self, actions: Space, box: BoxFamily = "gaussian") -> None:
        self._policy = Factored(actions, box)
        self.outputs = tuple(self._policy.parameters)

    def begin(self, ticks: int, slots: int, rng: np.random.Generator, env_steps: int) -> None:
        """Does nothing: there is nothing to draw."""

    def act(self, tick: int, outputs: Arrays, mask: Array | None = None) -> Arrays:
        """The mode of each slot's distribution, among valid actions with a mask."""
        if mask is not None:
            outputs = self._policy.masked(np, outputs, mask)
        return self._policy.mode(outputs)

    def recorded(self) -> Arrays:
        """Nothing."""
        return {}
