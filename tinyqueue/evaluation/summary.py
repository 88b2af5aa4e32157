"""Statistics of a set of games: the mean that is compared with the target score, and its error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinyqueue.data.spaces import Array
from tinyqueue.monitor.view import counted, number


@dataclass(frozen=True)
class GamesSummary:
    """Returns of E games.

    Attributes:
        count: E.
        mean, median, minimum, maximum: Of the returns.
        std: Sample standard deviation (E−1); 0 for a single game.
        standard_error: Of the mean, std / √E. The true mean lies within two of them in about 95 of
            100 cases.
        mean_length: Env steps per game.
    """

    count: int
    mean: float
    median: float
    minimum: float
    maximum: float
    std: float
    standard_error: float
    mean_length: float

    @classmethod
    def of(cls, returns: Array, lengths: Array) -> GamesSummary:
        """Summarises at least one game.

        Args:
            returns: ``[E]``.
            lengths: ``[E]``.

        Raises:
            ValueError: There is no game.
        """
        if len(returns) == 0:
            raise ValueError("no games to summarise")
        values = np.asarray(returns, np.float64)
        std = float(values.std(ddof=1)) if len(values) > 1 else 0.0
        return cls(
            count=len(values),
            mean=float(values.mean()),
            median=float(np.median(values)),
            minimum=float(values.min()),
            maximum=float(values.max()),
            std=std,
            standard_error=std / len(values) ** 0.5,
            mean_length=float(np.mean(lengths)),
        )

    def __str__(self) -> str:
        games = counted(self.count, "game")
        return (
            f"{number(self.mean)} ± {number(self.standard_error)} over {games} "
            f"(median {number(self.median)}, {number(self.minimum)} to {number(self.maximum)})"
        )
