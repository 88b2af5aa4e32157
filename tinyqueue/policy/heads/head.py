"""What a stage and an evaluation ask of an action head."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from tinyqueue.data.spaces import Array, Arrays, Leaf, Space
from tinyqueue.errors import ConfigError
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
            mask: ``[B, n]`` bool, which actions of one Discrete space are valid, at least one
                in every row; read before returning. None: all are.
        """

    def recorded(self) -> Arrays:
        """The extras of the batch; the arrays are the caller's to keep."""


def _shown(leaf: Leaf) -> str:
    values = f"0 to {leaf.n - 1}" if leaf.is_discrete else leaf.dtype
    return f"{values}, of shape {leaf.shape}"


def single_discrete(actions: Space) -> Leaf:
    """The one discrete leaf of an action space.

    Raises:
        ConfigError: The space is anything else.
    """
    leaves = list(actions.values())
    if len(leaves) != 1 or not leaves[0].is_discrete or leaves[0].shape != ():
        said = ", ".join(f"{path or 'action'}: {_shown(leaf)}" for path, leaf in actions.items())
        raise ConfigError(
            f"this algorithm acts in one Discrete action space, and the environment has {said}. "
            "Choose an environment with discrete actions, or wrap it to have them."
        )
    return leaves[0]
