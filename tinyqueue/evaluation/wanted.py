"""What a result must say to be the answer to a request. Nobody is taken at their word."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tinyqueue.wire.claims import are_possible_returns
from tinyqueue.wire.evaluations import EvaluationResult
from tinyqueue.wire.magnitudes import BEYOND

FAILURES_PER_GAME = 5
"""A game whose environment fails five times in a row ends the evaluation."""
_TIME_OVER = 0.9
# Share of the time limit after which a worker may say that it is over: clocks run differently.


@dataclass(frozen=True)
class Wanted:
    """A request for evaluation episodes that has no answer yet.

    Attributes:
        request: Its id, which only its task tells.
        experiment, run, version: What is evaluated.
        actions: ``greedy`` or ``sample``.
        episodes: Number of games.
        timeout_s: Wall time for all of them; only after it may some be cut or missing.
        max_steps: Env steps at which a game is ended; None where only workers know the
            environment, and so its own limit.
        asks_workers: Whether a worker may answer; if not, only the learner itself.
        max_abs_reward: Largest magnitude of a reward in training. Games may have rewards that are
            larger by :data:`~tinyqueue.wire.magnitudes.BEYOND`: they are not clipped, and may be
            of another environment.
    """

    request: str
    experiment: str
    run: str
    version: int
    actions: str
    episodes: int
    timeout_s: float
    max_steps: int | None = None
    asks_workers: bool = True
    max_abs_reward: float = math.inf

    def fault(self, result: EvaluationResult, since_s: float) -> str:
        """Why a worker's result is not the answer; empty if it is.

        Args:
            result: With finite returns and positive lengths, one of each per game.
            since_s: Seconds since the request was made.
        """
        if not self.asks_workers:
            return "no worker was asked"
        for name, wanted, came in (
            ("request", self.request, result.request),
            ("experiment", self.experiment, result.experiment),
            ("run", self.run, result.run),
            ("version", self.version, result.policy_version),
            ("actions", self.actions, result.actions),
            ("number of games", self.episodes, result.asked),
        ):
            if came != wanted:
                return f"the {name} is {came}, not {wanted}"
        if self.max_steps is not None and result.max_steps != self.max_steps:
            return f"its games end at {result.max_steps} steps, not at {self.max_steps}"
        return (
            _fault_of_ends(result)
            or self._fault_of_returns(result)
            or self._fault_of_time(result, since_s)
        )

    def _fault_of_returns(self, result: EvaluationResult) -> str:
        returns, lengths = result.returns, result.lengths
        if math.isinf(self.max_abs_reward):
            return ""
        possible = are_possible_returns(returns, lengths, BEYOND * self.max_abs_reward)
        if possible.all():
            return ""
        at = int(np.flatnonzero(~possible)[0])
        return (
            f"a game of {lengths[at]:,} steps has a return of {returns[at]:g}, and "
            f"learner.max_abs_reward is {self.max_abs_reward:g}"
        )

    def _fault_of_time(self, result: EvaluationResult, since_s: float) -> str:
        played = len(result.returns)
        if result.seconds > since_s / _TIME_OVER + self.timeout_s:
            return f"it took {result.seconds:.0f} s, and was asked for {since_s:.0f} s ago"
        if played > self.episodes:
            return f"{played} games were played, and {self.episodes} were asked for"
        is_short = played < self.episodes or result.cut
        if is_short and since_s < _TIME_OVER * self.timeout_s:
            return (
                f"{played} games were played and {result.cut} of them cut after {since_s:.0f} of "
                f"{self.timeout_s:.0f} s"
            )
        return ""


def _fault_of_ends(result: EvaluationResult) -> str:
    """What contradicts itself in how the games ended."""
    played, longest = len(result.returns), int(result.lengths.max())
    if not np.isfinite(np.mean(result.returns, dtype=np.float64)):
        return "the mean is not finite"
    if longest > result.max_steps:
        return f"a game has {longest} steps, and games end at {result.max_steps}"
    if result.capped > np.count_nonzero(result.lengths == result.max_steps):
        return f"{result.capped} games are said to have {result.max_steps} steps"
    if result.capped + result.cut > played:
        return f"{result.capped} capped and {result.cut} cut games of {played}"
    if result.failures > FAILURES_PER_GAME * (result.asked + 1):
        return f"{result.failures} failures in {result.asked} games"
    return ""
