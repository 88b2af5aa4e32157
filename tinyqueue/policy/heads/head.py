"""What stages and evaluations need from an action head."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from tinyqueue.data.spaces import Array, Arrays
from tinyqueue.wire.contract import Extra


class Head(Protocol):
    """Chooses actions from network outputs."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the network outputs that it reads."""

    @property
    def extras(self) -> Mapping[str, Extra]:
        """The arrays that :meth:`recorded` returns, by name."""

    @property
    def epsilons(self) -> tuple[float, ...]:
        """Exploration rate of each slot in the current batch; empty if the head has none."""

    def begin(self, ticks: int, slots: int, rng: np.random.Generator, env_steps: int) -> None:
        """Starts a session batch of ``ticks`` × ``slots`` and draws all its random numbers.

        Args:
            ticks: T.
            slots: B.
            rng: Source of the random numbers.
            env_steps: Env steps of the weights in use: the clock of schedules. Never a player's
                own count, so that all players are as far as the learner.
        """

    def act(self, tick: int, outputs: Arrays, mask: Array | None = None) -> Arrays:
        """Actions, path → ``[B, *act]`` in the leaves' dtypes, valid until the next ``begin``.

        Args:
            tick: 0 … T−1, ascending.
            outputs: Network outputs by name, ``[B, …]``. Their buffers may be reused after the
                return.
            mask: ``[B, n]`` bool, the valid values of one Discrete or MultiDiscrete leaf, n summed
                over its entries, at least one per entry; may be reused after the return. None:
                all are valid.
        """

    def recorded(self) -> Arrays:
        """The extras of the batch; the caller may keep the arrays."""
