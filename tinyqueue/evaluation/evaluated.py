"""A finished evaluation, and what is said of it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tinyqueue.evaluation.score import remarks_on
from tinyqueue.evaluation.summary import GamesSummary
from tinyqueue.run.checkpoint import Checkpoint
from tinyqueue.wire.evaluations import EvaluationResult


@dataclass(frozen=True)
class Evaluated:
    """A finished evaluation, with the learner's state that it measured.

    Attributes:
        checkpoint: The state.
        result: Returns and lengths of the episodes.
        training_mean: Mean return of the last training episodes when it was requested.
        is_own: Whether the learner played it, or a worker with the learner's own login.
        login: Broker login of the worker that played it; empty if the learner did.
    """

    checkpoint: Checkpoint
    result: EvaluationResult
    training_mean: float = math.nan
    is_own: bool = True
    login: str = ""

    @property
    def mean_return(self) -> float:
        """Mean return of the evaluation episodes."""
        return self.summary.mean

    @property
    def summary(self) -> GamesSummary:
        """Statistics of the evaluation episodes."""
        return GamesSummary.of(self.result.returns, self.result.lengths)

    @property
    def is_complete(self) -> bool:
        """Whether all games were played to their end, or to the limit of steps."""
        return not self.result.cut and len(self.result.returns) >= self.result.asked

    @property
    def actions(self) -> str:
        """``greedy`` or ``sample``."""
        return self.result.actions

    @property
    def policy(self) -> str:
        """How actions were chosen, for messages: ``greedy`` or ``sampled``."""
        return "sampled" if self.actions == "sample" else self.actions

    @property
    def remarks(self) -> list[str]:
        """What the user should know about how the games ended."""
        result = self.result
        return remarks_on(
            len(result.returns),
            asked=result.asked,
            capped=result.capped,
            max_steps=result.max_steps,
            cut=result.cut,
            failures=result.failures,
            failure=result.failure,
        )
