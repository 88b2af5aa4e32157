"""Action masks: overwrite the values of invalid actions, and draw among valid ones."""

from __future__ import annotations

import numpy as np

from tinyqueue.data.spaces import Array
from tinyqueue.distributions.categorical import MASKED


def mask_out(values: Array, mask: Array) -> None:
    """Overwrites in ``values`` ``[B, n]`` those where ``mask`` ``[B, n]`` bool is false."""
    np.copyto(values, MASKED, where=~mask)


class ValidDraws:
    """Uniform draws among valid actions.

    Their random numbers are drawn when the first mask of a batch arrives, so that environments
    without masks play the same episodes with a seed as they would without this class.
    """

    def begin(self, ticks: int, slots: int, rng: np.random.Generator) -> None:
        """Starts a batch of T = ``ticks`` × B = ``slots``."""
        self._shape, self._rng = (ticks, slots), rng
        self._shares: Array | None = None

    def draw(self, tick: int, mask: Array) -> Array:
        """``[B]`` actions, uniform over those where ``mask`` ``[B, n]`` bool is true."""
        if self._shares is None:
            self._shares = self._rng.random(self._shape)
        rank = (self._shares[tick] * mask.sum(axis=1)).astype(np.int64)
        chosen: Array = (mask.cumsum(axis=1) > rank[:, None]).argmax(axis=1)
        return chosen
