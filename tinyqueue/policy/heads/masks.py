"""Action masks: values of actions that are not valid, and draws among those that are."""

from __future__ import annotations

import numpy as np

from tinyqueue.data.spaces import Array, Leaf

MASKED = np.float32(-1e9)
"""In place of the logit or value of an action that is not valid.

A finite log 0: its probability is exactly 0 in float32, and p·log p is 0 and not NaN.
"""


def mask_out(values: Array, mask: Array) -> None:
    """Overwrites the values ``[B, n]`` of actions that ``mask`` ``[B, n]`` does not allow."""
    np.copyto(values, MASKED, where=~mask)


class ValidDraws:
    """Uniform draws among valid actions.

    The numbers behind them are drawn when the first mask of a batch is seen, so that
    environments without masks play the same games with a seed whether or not masks exist.

    Args:
        leaf: Of a Discrete or MultiDiscrete action space.
    """

    def __init__(self, leaf: Leaf) -> None:
        self._shape, self._counts = leaf.shape, leaf.counts

    def begin(self, ticks: int, slots: int, rng: np.random.Generator) -> None:
        """Starts a batch of ``ticks`` × ``slots``."""
        self._size, self._rng = (ticks, slots, len(self._counts)), rng
        self._shares: Array | None = None

    def draw(self, tick: int, mask: Array) -> Array:
        """``[B, *act]`` actions; each value of an entry that ``mask`` ``[B, n]`` allows is as
        likely as another."""
        if self._shares is None:
            self._shares = self._rng.random(self._size)
        entries = np.split(mask, np.cumsum(self._counts)[:-1], axis=1)
        shares = self._shares[tick].T
        chosen = [_of_rank(valid, share) for valid, share in zip(entries, shares, strict=True)]
        return np.stack(chosen, axis=1).reshape(-1, *self._shape)


def _of_rank(valid: Array, share: Array) -> Array:
    """``[B]`` the valid value of ``[B, k]`` at a share ``[B]`` of the way through them."""
    rank = (share * valid.sum(axis=1)).astype(np.int64)
    return np.asarray((valid.cumsum(axis=1) > rank[:, None]).argmax(axis=1))
