"""Uniformly random actions for the first env steps of a run, then another head's."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from pydantic import Field

from tinyqueue.data.spaces import Array, Arrays, Space
from tinyqueue.policy.heads.head import Head
from tinyqueue.policy.heads.sampling import ENTROPY, LOG_PROB, SamplingConfig
from tinyqueue.policy.heads.uniform import Uniform
from tinyqueue.wire.contract import Extra


class ExploringConfig(SamplingConfig):
    """Configuration of heads that begin at random.

    Attributes:
        random_steps: Env steps of the run that are played uniformly at random.
    """

    random_steps: int = Field(0, ge=0)


class RandomFirst:
    """Acts uniformly at random until the run has some env steps, so that a replay begins diverse.

    Args:
        head: Acts from then on, and records log-densities.
        actions: The action space: bounded Boxes.
        steps: Env steps of the run from which on ``head`` acts. Counted for whole session batches.
    """

    epsilons: tuple[float, ...] = ()

    def __init__(self, head: Head, actions: Space, steps: int) -> None:
        self._head, self._uniform, self._steps = head, Uniform(actions), steps
        self.outputs = head.outputs
        self._log_density = -sum(
            leaf.size * math.log(leaf.high - leaf.low)
            for leaf in actions.values()
            if leaf.low is not None and leaf.high is not None
        )
        self._is_random = False
        self._shape = (0, 0)

    @property
    def extras(self) -> Mapping[str, Extra]:
        """Those of the other head."""
        return self._head.extras

    def begin(self, ticks: int, slots: int, rng: np.random.Generator, env_steps: int) -> None:
        """Draws the noise of whichever acts in this batch."""
        self._is_random, self._shape = env_steps < self._steps, (ticks, slots)
        acting = self._uniform if self._is_random else self._head
        acting.begin(ticks, slots, rng, env_steps)

    def act(self, tick: int, outputs: Arrays, mask: Array | None = None) -> Arrays:
        """The tick's actions."""
        acting = self._uniform if self._is_random else self._head
        return acting.act(tick, outputs, mask)

    def recorded(self) -> Arrays:
        """``[T, B]`` log-densities of the actions and, if asked for, entropies."""
        if not self._is_random:
            return self._head.recorded()
        log_density = np.full(self._shape, self._log_density, np.float32)
        values = {LOG_PROB: log_density, ENTROPY: -log_density}
        return {name: values[name] for name in self.extras}
