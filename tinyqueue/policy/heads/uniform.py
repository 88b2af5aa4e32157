"""Any action, as likely as any other: what a policy has to be better than."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tinyqueue.data.spaces import Array, Arrays, Leaf, Space
from tinyqueue.policy.heads.masks import ValidDraws
from tinyqueue.wire.contract import Extra


class Uniform:
    """Uniformly random actions; looks at no output and records nothing.

    Numbers without bounds are standard normal, as Gymnasium draws them.

    Args:
        actions: The action space.
    """

    outputs: tuple[str, ...] = ()
    extras: Mapping[str, Extra] = {}
    epsilons: tuple[float, ...] = ()

    def __init__(self, actions: Space) -> None:
        self._space = actions
        self._actions: Arrays = {}
        (leaf, *_) = actions.values()
        self._valid_draws = ValidDraws(leaf) if leaf.is_discrete else None

    def begin(self, ticks: int, slots: int, rng: np.random.Generator, env_steps: int) -> None:
        self._actions = {
            path: _drawn(leaf, (ticks, slots, *leaf.shape), rng)
            for path, leaf in self._space.items()
        }
        if self._valid_draws is not None:
            self._valid_draws.begin(ticks, slots, rng)

    def act(self, tick: int, outputs: Arrays, mask: Array | None = None) -> Arrays:
        if mask is not None and self._valid_draws is not None:
            (actions,) = self._actions.values()
            actions[tick] = self._valid_draws.draw(tick, mask)
        return {path: rows[tick] for path, rows in self._actions.items()}

    def recorded(self) -> Arrays:
        return {}


def _drawn(leaf: Leaf, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    if leaf.is_discrete:
        counts = np.reshape(leaf.nvec, leaf.shape) if leaf.nvec else leaf.n
        return rng.integers(counts, size=shape, dtype=leaf.dtype)
    if leaf.low is None or leaf.high is None:
        return rng.standard_normal(shape, np.float32)
    return rng.uniform(leaf.low, leaf.high, shape).astype(np.float32)
