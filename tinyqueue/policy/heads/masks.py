"""Action masks: values of actions that are not valid, and draws among those that are."""

from __future__ import annotations

import numpy as np

from tinyqueue.data.spaces import Array
from tinyqueue.distributions.categorical import MASKED


def mask_out(values: Array, mask: Array) -> None:
    """Overwrites the values ``[B, n]`` of actions that ``mask`` ``[B, n]`` does not allow."""
    np.copyto(values, MASKED, where=~mask)


class ValidDraws:
    """Uniform draws among valid actions.

    The numbers behind them are drawn when the first mask of a batch is seen, so that
    environments without masks play the same games with a seed whether or not masks exist.
    """

    def begin(self, ticks: int, slots: int, rng: np.random.Generator) -> None:
        """Starts a batch of ``ticks`` × ``slots``."""
        self._shape, self._rng = (ticks, slots), rng
        self._shares: Array | None = None

    def draw(self, tick: int, mask: Array) -> Array:
        """``[B]`` actions, each of those that ``mask`` ``[B, n]`` allows as likely as another."""
        if self._shares is None:
            self._shares = self._rng.random(self._shape)
        rank = (self._shares[tick] * mask.sum(axis=1)).astype(np.int64)
        chosen: Array = (mask.cumsum(axis=1) > rank[:, None]).argmax(axis=1)
        return chosen
