"""Is the threshold reached? Games of a frozen version decide, never the training mean."""

from __future__ import annotations

import math
import secrets
from dataclasses import dataclass
from typing import Protocol

from tinyqueue.data.seeds import seed32
from tinyqueue.errors import ConfigError, EnvironmentFailedError
from tinyqueue.evaluation.score import remarks_on
from tinyqueue.evaluation.summary import GamesSummary
from tinyqueue.experiment.sections import EvaluationConfig
from tinyqueue.run.checkpoint import Checkpoint
from tinyqueue.wire.evaluations import EvaluationResult
from tinyqueue.wire.weights import WeightVersion

_FAR = 10
# Times ``every_env_steps`` after which an evaluation is due, however far the level is.
_ERRORS = 2.0
# Standard errors by which two means of the same policy differ in 5 of 100 cases.


@dataclass(frozen=True)
class NoAnswer:
    """GameRequests that could not be played to their end.

    Attributes:
        request: Which they were for.
        kind: What went wrong, in one word that is the same for every failure of its kind.
        text: … in a sentence, with the line of the environment where that is known.
    """

    request: str
    kind: str
    text: str

    @classmethod
    def of(cls, request: str, error: Exception) -> NoAnswer:
        """For what was raised in games."""
        name = type(error).__name__
        kind = error.kind if isinstance(error, EnvironmentFailedError) else name
        return cls(request, kind, str(error) or name)


class GameRequests(Protocol):
    """Plays games of one weight version somewhere, one request at a time."""

    def request(self, weights: WeightVersion, request: str, seed: int, actions: str) -> None:
        """Asks for the games; returns when it can. ``actions``: ``greedy`` or ``sample``."""

    def poll(self) -> EvaluationResult | NoAnswer | None:
        """What came of the last request, once."""


@dataclass(frozen=True)
class Evaluated:
    """An evaluation that has come back, with the state of the learner that it measured.

    Attributes:
        training_mean: Return of the last training episodes when it was asked for.
    """

    checkpoint: Checkpoint
    result: EvaluationResult
    training_mean: float = math.nan

    @property
    def mean_return(self) -> float:
        return self.summary.mean

    @property
    def summary(self) -> GamesSummary:
        return GamesSummary.of(self.result.returns, self.result.lengths)

    @property
    def actions(self) -> str:
        """``greedy`` or ``sample``."""
        return self.result.actions

    @property
    def policy(self) -> str:
        """How actions were chosen, for people: ``greedy`` or ``sampled``."""
        return "sampled" if self.actions == "sample" else self.actions

    @property
    def remarks(self) -> list[str]:
        """What a person must know of how the games ended."""
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


@dataclass(frozen=True)
class _Waiting:
    """The request that is outstanding."""

    request: str
    checkpoint: Checkpoint
    actions: str
    training_mean: float


class ReturnThreshold:
    """Decides when to evaluate and whether the level is reached.

    Args:
        threshold: Mean return of games to reach; None never asks.
        config: How near the training mean must be, how often to ask, and how actions are chosen.
        games: Who plays.
        seed: Run seed; every evaluation plays games of its own, also after a resume.
        can_sample: Whether the policy has probabilities to draw actions from.

    Raises:
        ConfigError: Actions are to be drawn, and the policy has no probabilities.
    """

    def __init__(
        self,
        threshold: float | None,
        config: EvaluationConfig,
        games: GameRequests,
        seed: int,
        *,
        can_sample: bool = False,
    ) -> None:
        if config.actions == "sample" and not can_sample:
            raise ConfigError(
                'evaluation.actions = "sample" needs a policy with probabilities (impala, a3c, '
                'ppo). Write evaluation.actions = "greedy", or leave it out.'
            )
        self.value = threshold
        self.actions = "sample" if config.actions == "sample" else "greedy"
        self._config = config
        self._games = games
        self._seed = seed
        self._can_sample = can_sample
        self._waiting: _Waiting | None = None
        self._asked_at: int | None = None
        self._began_at: int | None = None
        self._count = 0

    @property
    def is_waiting(self) -> bool:
        """Whether an answer is outstanding."""
        return self._waiting is not None

    @property
    def interval(self) -> int:
        """Env steps between two evaluations, at least."""
        return self._config.every_env_steps

    def is_near(self, mean: float, first_mean: float | None, env_steps: int) -> bool:
        """Whether the training mean is near enough for an evaluation to be worth its games.

        Args:
            mean: Return of the last training episodes.
            first_mean: … of the run's first ones; None before there were enough of them.
            env_steps: The clock.
        """
        if self.value is None or self._waiting is not None or first_mean is None:
            return False
        if self._asked_at is not None and env_steps - self._asked_at < self.interval:
            return False
        return mean >= first_mean + self._config.near * (self.value - first_mean)

    def is_due(self, mean: float, first_mean: float | None, env_steps: int, length: float) -> bool:
        """Whether to evaluate now: the level is near, or nobody has looked for long.

        A run of few long episodes has no first mean, and a greedy policy may be far better than
        the one that explores. Then env steps decide, and games take no more of them than training
        has had since the last.

        Args:
            mean, first_mean, env_steps: As of :meth:`is_near`.
            length: Mean length of the last training episodes; NaN before the first.
        """
        if self.value is None or self._waiting is not None:
            return False
        if self.is_near(mean, first_mean, env_steps):
            return True
        if self._began_at is None:
            self._began_at = env_steps
        since = env_steps - (self._began_at if self._asked_at is None else self._asked_at)
        pause = self.interval * (1 if first_mean is None else _FAR)
        return since >= max(pause, self._config.episodes * length) if length > 0 else False

    def ask(
        self,
        checkpoint: Checkpoint,
        weights: WeightVersion,
        *,
        actions: str | None = None,
        training_mean: float = math.nan,
    ) -> None:
        """Has the weights evaluated.

        Args:
            checkpoint: What they belong to.
            weights: Who plays.
            actions: How they are chosen; as :attr:`actions` when None.
            training_mean: Return of the last training episodes.
        """
        request = secrets.token_hex(8)
        self._count += 1
        self._asked_at = checkpoint.env_steps
        actions = actions or self.actions
        self._waiting = _Waiting(request, checkpoint, actions, training_mean)
        seed = seed32(self._seed, checkpoint.env_steps, self._count)
        self._games.request(weights, request, seed, actions)

    def answer(self) -> Evaluated | NoAnswer | None:
        """What has come back since the last call."""
        waiting = self._waiting
        if waiting is None:
            return None
        result = self._games.poll()
        if result is None or result.request != waiting.request:
            return None
        self._waiting = None
        if isinstance(result, NoAnswer):
            return result
        if result.actions != waiting.actions:
            text = f"{result.player} played {result.actions} games, not {waiting.actions} ones"
            return NoAnswer(waiting.request, "OtherActions", text)
        return Evaluated(waiting.checkpoint, result, waiting.training_mean)

    def is_reached(self, evaluated: Evaluated) -> bool:
        """Whether the games reached the level. Half a game may have any return, so games that
        were ended because the time was over cannot."""
        return (
            self.value is not None
            and evaluated.mean_return >= self.value
            and not evaluated.result.cut
        )

    def is_confirmed(self, decided: Evaluated, fresh: Evaluated) -> bool:
        """Whether fresh games of the same weights agree that the level is reached.

        They may lie below it by two standard errors, of the set that has the smaller one: a
        single disaster in the fresh games makes their own error as large as the doubt that it
        raises. Games that are all alike have no error, so these must reach the level.
        """
        if self.value is None or fresh.result.cut:
            return False
        error = min(decided.summary.standard_error, fresh.summary.standard_error)
        return fresh.mean_return >= self.value - _ERRORS * error

    def wants_sampled(self, evaluated: Evaluated) -> bool:
        """Whether greedy games stand still where the same policy, sampled, has reached the level.

        Sampled play is what the training mean is of; so it must have reached the level, and the
        greedy games must lie clearly below it, or have had to be ended.
        """
        if self._config.actions != "auto" or not self._can_sample:
            return False
        if self.value is None or evaluated.actions != "greedy" or self.is_reached(evaluated):
            return False
        summary, result = evaluated.summary, evaluated.result
        is_below = summary.mean + _ERRORS * summary.standard_error < self.value
        return evaluated.training_mean >= self.value and (is_below or result.capped > 0)

    def compared(self, greedy: Evaluated, sampled: Evaluated) -> None:
        """From now on actions are chosen as in the better of two sets of the same weights."""
        if sampled.mean_return > greedy.mean_return:
            self.actions = "sample"
