"""Uniformly random actions: the baseline that a policy has to beat."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tinyqueue.data.spaces import Array, Arrays, Leaf, Space
from tinyqueue.policy.heads.masks import ValidDraws
from tinyqueue.wire.contract import Extra


class Uniform:
    """Uniformly random actions. Reads no network output and records nothing.

    Unbounded Boxes are standard normal, as Gymnasium samples them.

    Args:
        actions: The action space.
    """

    outputs: tuple[str, ...] = ()
    extras: Mapping[str, Extra] = {}
    epsilons: tuple[float, ...] = ()

    def __init__(self, actions: Space) -> None:
        self._space = actions
        self._actions: Arrays = {}
        self._valid_draws: list[ValidDraws] = []

    def begin(self, ticks: int, slots: int, rng: np.random.Generator, env_steps: int) -> None:
        """Draws all T × B actions."""
        self._actions = {
            path: _drawn(leaf, (ticks, slots, *leaf.shape), rng)
            for path, leaf in self._space.items()
        }
        self._valid_draws = []
        if len(self._space) == 1:
            (leaf,) = self._space.values()
            self._valid_draws = [ValidDraws() for _ in leaf.counts if leaf.is_discrete]
        for draws in self._valid_draws:
            draws.begin(ticks, slots, rng)

    def act(self, tick: int, outputs: Arrays, mask: Array | None = None) -> Arrays:
        """The tick's actions; with a mask, drawn again among valid values."""
        if mask is not None:
            self._redraw(tick, mask)
        return {path: rows[tick] for path, rows in self._actions.items()}

    def _redraw(self, tick: int, mask: Array) -> None:
        """Draws the actions of one tick again, among valid values."""
        ((path, leaf),) = self._space.items()
        parts = np.split(mask, np.cumsum(leaf.counts)[:-1], axis=1)
        drawn = [
            draws.draw(tick, part) for draws, part in zip(self._valid_draws, parts, strict=True)
        ]
        self._actions[path][tick] = np.stack(drawn, axis=-1).reshape(-1, *leaf.shape)

    def recorded(self) -> Arrays:
        """Nothing."""
        return {}


def _drawn(leaf: Leaf, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    if leaf.is_discrete:
        counts = np.reshape(leaf.nvec, leaf.shape) if leaf.nvec else leaf.n
        return rng.integers(counts, size=shape, dtype=leaf.dtype)
    if leaf.low is None or leaf.high is None:
        return rng.standard_normal(shape, np.float32)
    return rng.uniform(leaf.low, leaf.high, shape).astype(np.float32)
