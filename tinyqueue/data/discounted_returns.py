"""Discounted returns on the way: what every slot has earned so far, from batch to batch."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np

from tinyqueue.data.names import EPISODE_STEPS
from tinyqueue.data.session import SessionBatch
from tinyqueue.data.spaces import Array

MOST_SLOTS = 1 << 18
"""Slots to remember, of all stages together: 4 MiB. A thousand players of 64 have 64,000."""
MOST_MISSING = 0.05
"""Largest weight that unseen rewards may have in a return that counts."""


@dataclass
class _Stage:
    """Where a stage is.

    Attributes:
        n: Number of its next batch.
        returns: ``[B]`` float64 R after the last tick.
        missing: ``[B]`` float64 weight in R of the latest reward that was not seen; 0 if none.
    """

    n: int
    returns: Array
    missing: Array


class DiscountedReturns:
    """R_t = γ·R_{t−1} + r_t in every slot; 0 before an episode's first step.

    An episode runs through many batches, which come from many stages in turn, so R is carried from
    a batch to the next of its stage. Where a batch is missing in between, or the learner was
    started in the middle of an episode, R lacks earlier rewards: its ticks do not count until the
    next episode begins or what is missing has faded.

    Args:
        gamma: γ, discount per env step.
        most_slots: Slots to remember. Beyond it, the stage is forgotten that was silent longest.
    """

    def __init__(self, gamma: float, most_slots: int = MOST_SLOTS) -> None:
        self._gamma = gamma
        self._most_slots = most_slots
        self._stages: OrderedDict[str, _Stage] = OrderedDict()
        self._slots = 0

    def of(self, batch: SessionBatch) -> Array:
        """``[N]`` float64: R at the valid ticks of a batch where it is known.

        Args:
            batch: Batches of a stage in the order of their numbers; one out of order counts as the
                first after a gap.
        """
        stage = self._before(batch)
        ended = batch.terminated | batch.truncated
        rewards = batch.rewards * batch.valid
        returns, missing = np.empty(rewards.shape), np.empty(rewards.shape)
        now, absent = stage.returns, stage.missing
        for t in range(batch.ticks):
            now = self._gamma * now + rewards[t]
            absent = self._gamma * absent
            returns[t], missing[t] = now, absent
            goes_on = ~ended[t] & batch.valid[t]
            now, absent = now * goes_on, absent * goes_on
        self._keep(batch.header.stage, _Stage(batch.header.n + 1, now, absent))
        return returns[batch.valid & (missing <= MOST_MISSING)]

    def _before(self, batch: SessionBatch) -> _Stage:
        header = batch.header
        stage = self._stages.pop(header.stage, None)
        if stage is not None:
            self._slots -= len(stage.returns)
            if stage.n == header.n and len(stage.returns) == batch.slots:
                return stage
        steps = batch.carry.get(EPISODE_STEPS)
        begins = np.full(batch.slots, header.n == 0) if steps is None else steps == 0
        return _Stage(header.n, np.zeros(batch.slots), np.where(begins, 0.0, 1.0))

    def _keep(self, name: str, stage: _Stage) -> None:
        self._stages[name] = stage
        self._slots += len(stage.returns)
        while self._slots > self._most_slots and len(self._stages) > 1:
            _, silent = self._stages.popitem(last=False)
            self._slots -= len(silent.returns)
