"""Mean of max Q over the states of evaluated games: what a value policy believes it will get."""

from __future__ import annotations

import math

import numpy as np

from tinyqueue.data.joint_actions import JointActions
from tinyqueue.data.spaces import Array, Arrays, Space
from tinyqueue.distributions.categorical import masked


class MaxQ:
    """Watches games and keeps the mean of max Q(s, ·) over every state acted in.

    DQN's measure of progress (Mnih et al. 2015, figure 2): smoother than returns, and far above
    the discounted return of the same games where Q is overestimated. A network that was trained on
    rescaled values, as ``r2d2`` is, says h(Q), and so does this.

    Args:
        actions: The action space; only valid actions are looked at.

    Attributes:
        states: How many states it is over.
    """

    OUTPUT = "q"

    def __init__(self, actions: Space) -> None:
        self._joint = JointActions(actions)
        self.states = 0
        self._sum = 0.0

    def __call__(self, outputs: Arrays, on: Array, mask: Array | None = None) -> None:
        """Takes ``q`` ``[B, A]`` where a game is still on, ``[B]`` bool, with masks ``[B, n]``."""
        q = outputs[self.OUTPUT]
        if mask is not None:
            q = masked(np, q, self._joint.valid(mask))
        best = q.max(axis=1)[on]
        self._sum += float(best.sum(dtype="float64"))
        self.states += len(best)

    @property
    def mean(self) -> float:
        """NaN before the first state."""
        return self._sum / self.states if self.states else math.nan
