"""Schedules of ε for ε-greedy players: constant by slot, or annealed."""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from tinyqueue.data.spaces import Array
from tinyqueue.experiment.sections import Section

Share = Annotated[float, Field(ge=0, le=1)]


class BySlot(Section):
    """ε = base^(1 + power·u), u from 0 to 1 over the slots of a stage (Ape-X, Horgan et al. 2018).

    Ape-X numbers its actors; players here come and go. So every stage covers the whole range, with
    its own offset: u = frac(blake2b(stage id) / 2⁶⁴ + slot / B). Python's own ``hash`` differs
    between processes.
    """

    schedule: Literal["by-slot"]
    base: float = Field(0.4, gt=0, le=1)
    power: float = Field(7.0, ge=0)

    def epsilons(self, stage: str, slots: int, env_steps: int) -> Array:
        """``[B]`` float64, constant over the run.

        Args:
            stage: The stage's id, which gives the offset.
            slots: B.
            env_steps: Not used.
        """
        digest = hashlib.blake2b(stage.encode(), digest_size=8).digest()
        u = (int.from_bytes(digest, "big") / 2**64 + np.arange(slots) / slots) % 1.0
        return np.asarray(self.base ** (1.0 + self.power * u), np.float64)


class Annealed(Section):
    """One ε for all slots, linear from ``start`` to ``end`` over ``steps`` env steps of the run
    (Mnih et al. 2015)."""

    schedule: Literal["annealed"]
    start: Share = 1.0
    end: Share = 0.05
    steps: int = Field(gt=0)

    def epsilons(self, stage: str, slots: int, env_steps: int) -> Array:
        """``[B]`` float64, all equal.

        Args:
            stage: Not used.
            slots: B.
            env_steps: Env steps of the run so far.
        """
        done = min(env_steps / self.steps, 1.0)
        return np.full(slots, self.start + (self.end - self.start) * done)


Exploration = BySlot | Annealed
