"""What a stage and an evaluation ask of an action head."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from tinyqueue.data.spaces import Array, Arrays
from tinyqueue.wire.contract import Extra


class Head(Protocol):
    """How actions are chosen from network outputs.

    Attributes:
        outputs: Names of the network outputs that it reads.
        extras: What ``recorded`` returns, by name.
        epsilons: Exploration rate of every slot in the batch begun last; empty where the head
            has none.
    """

    @property
    def outputs(self) -> tuple[str, ...]: ...

    @property
    def extras(self) -> Mapping[str, Extra]: ...

    @property
    def epsilons(self) -> tuple[float, ...]: ...

    def begin(self, ticks: int, slots: int, rng: np.random.Generator, env_steps: int) -> None:
        """Starts a session batch of ``ticks`` × ``slots``; every draw of it is made here.

        Args:
            ticks, slots: T and B.
            rng: Where the draws come from.
            env_steps: Clock of the weights that are played: that of schedules. Never a
                player's own count, so that all players are as far as the learner is.
        """

    def act(self, tick: int, outputs: Arrays, mask: Array | None = None) -> Arrays:
        """Actions, path → ``[B, *act]`` in the types of the wire, valid until the next ``begin``.

        Args:
            tick: 0 … T−1, ascending.
            outputs: Network outputs by name, ``[B, …]``; read before returning, so that
                their buffers may be used again.
            mask: ``[B, n]`` bool, which values of one Discrete or MultiDiscrete space are
                valid, n summed over entries, at least one of each entry; read before returning.
                None: all are.
        """

    def recorded(self) -> Arrays:
        """The extras of the batch; the arrays are the caller's to keep."""
