"""Is the target score reached? Evaluations of a frozen version decide, never the training mean."""

from __future__ import annotations

import math
import secrets
from dataclasses import dataclass
from typing import Protocol

from tinyqueue.data.seeds import seed32
from tinyqueue.errors import ConfigError
from tinyqueue.evaluation.answers import Answer, NoAnswer
from tinyqueue.evaluation.evaluated import Evaluated
from tinyqueue.experiment.sections import EvaluationConfig
from tinyqueue.monitor.view import number
from tinyqueue.run.checkpoint import Checkpoint
from tinyqueue.wire.weights import WeightVersion

_FAR = 10
# An evaluation is due after this many times ``every_env_steps``, however far the target is, and
# after this many times what was trained on during the last one: it takes a tenth of the time.
_ERRORS = 2.0
# Standard errors by which two means of the same policy differ in 5 of 100 cases.
_OTHERS_IN_A_ROW = 5
# Evaluations by others, of which the last is played again by the learner.
_DISAGREES_ERRORS, _DISAGREES_SHARE = 4.0, 0.1
# Standard errors, and share of the larger mean: more apart, two means are not of the same games.


class GameRequests(Protocol):
    """Has evaluations of one weight version played somewhere, one request at a time."""

    def request(
        self, weights: WeightVersion, request: str, seed: int, actions: str, *, here: bool = False
    ) -> None:
        """Requests an evaluation. It may be played before the return, or later.

        Args:
            weights: The weights to evaluate.
            request: Id of the evaluation.
            seed: Seed of the games.
            actions: ``greedy`` or ``sample``.
            here: Only the learner itself may play it.
        """

    def poll(self) -> Answer | NoAnswer | None:
        """The answer to the last request, once; None while there is none."""

    def play_instead(self) -> bool:
        """Begins to play the open request here, while a worker may still answer.

        False if it is answered or played here already, or cannot be played beside a worker.
        """


@dataclass(frozen=True)
class _Waiting:
    """The outstanding request."""

    request: str
    checkpoint: Checkpoint
    actions: str
    training_mean: float


class ReturnThreshold:
    """Decides when to evaluate, and whether the target score is reached.

    Args:
        threshold: Target score: mean return of an evaluation to reach; None: never evaluate.
        config: How near the training mean must be, how often to evaluate, and how to choose
            actions.
        games: Has evaluations played.
        seed: Run seed. Every evaluation plays different games, even after a resume.
        can_sample: Whether the policy has probabilities to sample from.
        is_comparable: Whether training returns are of the same environment and policy as those of
            evaluations; if not, only env steps decide when to evaluate.
        max_steps: Env steps at which a game is ended; None if only workers know.

    Attributes:
        value: The target score.
        actions: How actions are chosen: ``greedy`` or ``sample``.

    Raises:
        ConfigError: Actions should be sampled, but the policy has no probabilities.
    """

    def __init__(
        self,
        threshold: float | None,
        config: EvaluationConfig,
        games: GameRequests,
        seed: int,
        *,
        can_sample: bool = False,
        is_comparable: bool = True,
        max_steps: int | None = None,
    ) -> None:
        if config.actions == "sample" and not can_sample:
            raise ConfigError(
                'evaluation.actions = "sample" needs a policy with probabilities (impala, a3c, '
                'ppo, sac). Write evaluation.actions = "greedy", or leave it out.'
            )
        self.value = threshold
        self.actions = "sample" if config.actions == "sample" else "greedy"
        self._config = config
        self._games = games
        self._seed = seed
        self._can_sample = can_sample
        self._is_comparable = is_comparable
        self._max_steps = max_steps
        self._waiting: _Waiting | None = None
        self._asked_at: int | None = None
        self._began_at: int | None = None
        self._took = 0
        # Env steps trained on during the last evaluation.
        self._count = 0
        self._others = 0
        # Evaluations by others in a row.

    @property
    def is_waiting(self) -> bool:
        """Whether an answer is outstanding."""
        return self._waiting is not None

    @property
    def games_told(self) -> str:
        """What an evaluation plays, for messages: how many games, and when each is ended."""
        told = f"{self._config.episodes} evaluation games"
        if self._max_steps is None:
            return told
        return f"{told}, each ended after {self._max_steps:,} steps"

    @property
    def interval(self) -> int:
        """Minimum number of env steps between two evaluations."""
        return self._config.every_env_steps

    def is_near(self, mean: float, first_mean: float | None, env_steps: int) -> bool:
        """Whether the training mean is near enough to the target for an evaluation to be worth it.

        Args:
            mean: Mean return of the last training episodes.
            first_mean: Mean return of the run's first episodes; None before there are enough.
            env_steps: The clock.
        """
        if self._waiting is not None:
            return False
        if self._asked_at is not None and env_steps - self._asked_at < self.interval:
            return False
        wanted = self._near_mean(first_mean)
        return wanted is not None and mean >= wanted

    def is_due(self, mean: float, first_mean: float | None, env_steps: int, length: float) -> bool:
        """Whether to evaluate now: the target is near, or the last evaluation was long ago.

        A run of few long episodes has no first mean, and a greedy policy may be far better than
        the exploring one. Then env steps decide, and an evaluation takes no more of them than
        training has had since the last one.

        Args:
            mean, first_mean, env_steps: As in :meth:`is_near`.
            length: Mean length of the last training episodes; NaN before the first.
        """
        if self.value is None or self._waiting is not None:
            return False
        if self.is_near(mean, first_mean, env_steps):
            return True
        if self._began_at is None:
            self._began_at = env_steps
        if not length > 0:
            return False
        return self._since(env_steps) >= self._pause(first_mean, length)

    def next_told(
        self, mean: float, first_mean: float | None, env_steps: int, length: float
    ) -> str:
        """When the next evaluation is due, if the training mean stays as it is and if not.

        ``in 20,000 env steps``, or while the target is far ``in 200,000 env steps, or in 20,000
        once the training mean has come to 285 (evaluation.near)``.

        Args:
            mean, first_mean, env_steps, length: As in :meth:`is_due`.
        """
        since = self._since(env_steps)
        soon = max(1, self.interval - since)
        wanted = self._near_mean(first_mean)
        if wanted is not None and mean >= wanted:
            return f"in {soon:,} env steps"
        late = max(soon, math.ceil(self._pause(first_mean, length if length > 0 else 0.0)) - since)
        if wanted is None:
            if not self._is_comparable:
                return f"in {late:,} env steps"
            return (
                f"in {late:,} env steps, unless the mean of the first 100 training episodes is "
                "there by then (evaluation.near)"
            )
        return (
            f"in {late:,} env steps, or in {soon:,} once the training mean has come to "
            f"{number(wanted)} (evaluation.near)"
        )

    def _near_mean(self, first_mean: float | None) -> float | None:
        """The training mean from which on the target is near; None if no mean tells that."""
        if self.value is None or first_mean is None or not self._is_comparable:
            return None
        return first_mean + self._config.near * (self.value - first_mean)

    def _since(self, env_steps: int) -> int:
        """Env steps since the last evaluation, or since the first look for one."""
        since = self._began_at if self._asked_at is None else self._asked_at
        return 0 if since is None else env_steps - since

    def _pause(self, first_mean: float | None, length: float) -> float:
        """Env steps between two evaluations while the target is not near."""
        pause = self.interval
        if self._near_mean(first_mean) is not None:
            pause = _FAR * max(pause, self._took)
        # Players report lengths: a false one must not put evaluations off for ever.
        return max(pause, self._config.episodes * min(length, self._config.max_steps_per_game))

    def ask(
        self,
        checkpoint: Checkpoint,
        weights: WeightVersion,
        *,
        actions: str | None = None,
        training_mean: float = math.nan,
        here: bool = False,
    ) -> None:
        """Requests an evaluation.

        Args:
            checkpoint: The state that the weights belong to.
            weights: The weights to evaluate.
            actions: ``greedy`` or ``sample``; None: :attr:`actions`.
            training_mean: Mean return of the last training episodes.
            here: Only the learner itself may play it.
        """
        request = secrets.token_hex(8)
        self._count += 1
        self._asked_at = checkpoint.env_steps
        actions = actions or self.actions
        self._waiting = _Waiting(request, checkpoint, actions, training_mean)
        seed = seed32(self._seed, checkpoint.env_steps, self._count)
        self._games.request(weights, request, seed, actions, here=here)

    def answer(self, env_steps: int) -> Evaluated | NoAnswer | None:
        """The answer to the outstanding request, once; None while there is none.

        Args:
            env_steps: The clock.
        """
        waiting = self._waiting
        if waiting is None:
            return None
        answer = self._games.poll()
        if answer is None or answer.request != waiting.request:
            return None
        self._waiting = None
        self._took = env_steps - waiting.checkpoint.env_steps
        if isinstance(answer, NoAnswer):
            return answer
        result = answer.result
        if result.actions != waiting.actions:
            text = f"{result.player} played {result.actions} games, not {waiting.actions} ones"
            return NoAnswer(waiting.request, "OtherActions", text)
        self._others = 0 if answer.is_own else self._others + 1
        return Evaluated(
            waiting.checkpoint, result, waiting.training_mean, answer.is_own, answer.login
        )

    def play_instead(self) -> bool:
        """Has the learner itself begin the games that it waits for; False if it does not."""
        return self._waiting is not None and self._games.play_instead()

    def is_reached(self, evaluated: Evaluated) -> bool:
        """Whether an evaluation reached the target score.

        Never if the time was over: half a game may have any return, and a few games any mean.
        """
        return (
            self.value is not None and evaluated.mean_return >= self.value and evaluated.is_complete
        )

    def is_credible(self, evaluated: Evaluated) -> bool:
        """Whether an evaluation counts as it is: its score and its mean may be kept and reported.

        Another login's does not if its mean is at or beyond the target: no other login decides
        anything, and the learner's own games tell soon whether it is so.
        """
        return evaluated.is_own or self.value is None or evaluated.mean_return < self.value

    def is_confirmed(self, decided: Evaluated, fresh: Evaluated) -> bool:
        """Whether a fresh evaluation of the same weights confirms that the target is reached.

        It may lie below by two standard errors, those of the set with the smaller error: a single
        disaster among the fresh games makes their own error as large as the doubt it raises. Games
        that are all alike have no error, so these must reach the target. So must the learner's own
        games if others played the first set: no other login decides anything.

        Args:
            decided: The evaluation that reached the target.
            fresh: The second evaluation.
        """
        if self.value is None or not fresh.is_complete:
            return False
        error = min(decided.summary.standard_error, fresh.summary.standard_error)
        if not decided.is_own:
            error = 0.0
        return fresh.mean_return >= self.value - _ERRORS * error

    def wants_sampled(self, evaluated: Evaluated) -> bool:
        """Whether to evaluate with sampled actions, because greedy ones fall short of them.

        The training mean comes from sampled play; so it must have reached the target, and the
        greedy games must be clearly below, or some must have been ended at the limit of steps.
        """
        if self._config.actions != "auto" or not self._can_sample:
            return False
        if self.value is None or evaluated.actions != "greedy" or self.is_reached(evaluated):
            return False
        summary, result = evaluated.summary, evaluated.result
        if not self._is_comparable:
            return False
        is_below = summary.mean + _ERRORS * summary.standard_error < self.value
        return evaluated.training_mean >= self.value and (is_below or result.capped > 0)

    def wants_own(self, evaluated: Evaluated) -> bool:
        """Whether the learner should play the same weights too, since another says they fall short.

        A worker that reports less than is true would keep a run from ever being solved. So the
        learner looks itself where the training mean has come to the target and those games are
        clearly below it, and now and then in any case.
        """
        if evaluated.is_own or self.value is None or self.is_reached(evaluated):
            return False
        if self._others >= _OTHERS_IN_A_ROW:
            return True
        summary, trained = evaluated.summary, evaluated.training_mean
        is_below = summary.mean + _ERRORS * summary.standard_error < trained
        return self._is_comparable and trained >= self.value and is_below

    def disagrees(self, theirs: Evaluated, own: Evaluated) -> bool:
        """Whether a worker's games and the learner's, of the same weights, cannot both be so."""
        a, b = theirs.summary, own.summary
        apart = abs(a.mean - b.mean)
        error = math.hypot(a.standard_error, b.standard_error)
        most = max(abs(a.mean), abs(b.mean))
        return apart > _DISAGREES_ERRORS * error and apart > _DISAGREES_SHARE * most

    def compared(self, greedy: Evaluated, sampled: Evaluated) -> None:
        """Sets :attr:`actions` to those of the better of two evaluations of the same weights.

        Only by the learner's own games: it is for the rest of the run.
        """
        is_own = greedy.is_own and sampled.is_own
        if is_own and sampled.mean_return > greedy.mean_return:
            self.actions = "sample"
