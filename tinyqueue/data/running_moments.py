"""Mean and variance of all that was ever added, without keeping it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tinyqueue.data.spaces import Array, Arrays


class RunningMoments:
    """Count, mean and variance, element by element, in float64.

    A batch is merged by the pairwise formula of Chan, Golub and LeVeque (1983, "Algorithms for
    Computing the Sample Variance"): two sets of n_a and n_b values, with δ the difference of their
    means, have together the sum of squares S_a + S_b + δ²·n_a·n_b/(n_a + n_b).

    Args:
        shape: Shape of one value.

    Attributes:
        count: Values added so far.
        mean: ``[*shape]``; 0 before the first.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.count = 0
        self.mean: Array = np.zeros(shape)
        self._squares: Array = np.zeros(shape)

    @property
    def variance(self) -> Array:
        """``[*shape]`` mean squared distance from the mean; 0 before the first value."""
        return self._squares / max(self.count, 1)

    def add(self, values: Array) -> None:
        """Adds values.

        Args:
            values: ``[N, *shape]`` finite numbers; N may be 0.
        """
        added = len(values)
        if not added:
            return
        wide = values.astype(np.float64)
        mean = wide.mean(axis=0)
        total = self.count + added
        apart = mean - self.mean
        self._squares = (
            self._squares
            + np.square(wide - mean).sum(axis=0)
            + np.square(apart) * (self.count * (added / total))
        )
        self.mean = self.mean + apart * (added / total)
        self.count = total

    def state(self) -> Arrays:
        """Copies of its numbers, by name."""
        count = np.asarray(self.count, np.int64)
        return {"count": count, "mean": self.mean.copy(), "squares": self._squares.copy()}

    def restore(self, state: Mapping[str, Array]) -> None:
        """Continues from what :meth:`state` returned.

        Raises:
            KeyError: A number is missing.
            ValueError: It is of values of another shape.
        """
        mean, squares = (np.array(state[name], np.float64) for name in ("mean", "squares"))
        if not mean.shape == squares.shape == self.mean.shape:
            raise ValueError(f"moments of shape {mean.shape}, and not {self.mean.shape}")
        self.count, self.mean, self._squares = int(state["count"]), mean, squares
