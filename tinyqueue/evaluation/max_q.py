"""Mean of max Q over the states of evaluation episodes: the return that a value policy expects."""

from __future__ import annotations

import math

import numpy as np

from tinyqueue.data.joint_actions import JointActions
from tinyqueue.data.spaces import Array, Arrays, Space
from tinyqueue.distributions.categorical import masked


class MaxQ:
    """Watches games and computes the mean of max Q(s, ·) over all states acted in.

    DQN's measure of progress (Mnih et al. 2015, figure 2): smoother than returns, and far above
    the discounted return of the same games if Q is overestimated. A network trained on rescaled
    values, such as that of ``r2d2``, outputs h(Q), and this is then the mean of that.

    Args:
        actions: The action space; only valid actions count.

    Attributes:
        states: Number of states so far.
    """

    OUTPUT = "q"

    def __init__(self, actions: Space) -> None:
        self._joint = JointActions(actions)
        self.states = 0
        self._sum = 0.0

    def __call__(self, outputs: Arrays, on: Array, mask: Array | None = None) -> None:
        """Adds the states of one tick.

        Args:
            outputs: With ``q`` ``[B, A]``.
            on: ``[B]`` bool, true where a game is still on.
            mask: ``[B, n]`` bool, valid actions; None: all.
        """
        q = outputs[self.OUTPUT]
        if mask is not None:
            q = masked(np, q, self._joint.valid(mask))
        best = q.max(axis=1)[on]
        self._sum += float(best.sum(dtype="float64"))
        self.states += len(best)

    @property
    def mean(self) -> float:
        """The mean so far; NaN before the first state."""
        return self._sum / self.states if self.states else math.nan
