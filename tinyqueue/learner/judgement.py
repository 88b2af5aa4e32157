"""Judges what training has reached: requests evaluations, decides whether a run is solved."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace

import structlog

from tinyqueue.evaluation.answers import NoAnswer
from tinyqueue.evaluation.evaluated import Evaluated
from tinyqueue.evaluation.threshold import ReturnThreshold
from tinyqueue.learner.reporter import Reporter
from tinyqueue.learner.saver import Saver
from tinyqueue.learner.updater import Updater
from tinyqueue.monitor.view import number
from tinyqueue.run.checkpoint import Checkpoint
from tinyqueue.run.outcome import Outcome

LAST_GAMES_S = 120.0
"""How long a run waits for its last evaluation after the last env step."""
OTHERS_S = 60.0
"""How long of it a worker has, before the learner plays the games itself."""

_SAME = "the same weights"

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Reached:
    """An evaluation that reached the target score.

    Attributes:
        evaluated: The evaluation.
        at_s: Unix time of its answer.
    """

    evaluated: Evaluated
    at_s: float


class Judgement:
    """Requests evaluations, judges their answers, and keeps the best weights.

    When an evaluation reaches the target score, the same weights are evaluated a second time, and
    training goes on until the result arrives: players that wait for room in the queue would
    otherwise delay it.

    Args:
        updater: Has the weights.
        threshold: Has games played, and knows the target score.
        saver: Writes evaluated states.
        reporter: Tells the user.
    """

    def __init__(
        self, updater: Updater, threshold: ReturnThreshold, saver: Saver, reporter: Reporter
    ) -> None:
        self._updater = updater
        self._threshold = threshold
        self._saver = saver
        self._reporter = reporter
        self._reached: Reached | None = None
        self._fresh: Evaluated | None = None
        self._last: Evaluated | None = None
        self._greedy: Evaluated | None = None
        # A greedy evaluation whose weights are being evaluated again with sampled actions.
        self._checked: Evaluated | None = None
        # Another's evaluation whose weights the learner is evaluating itself.
        self._suspects: set[str] = set()
        # Logins whose games the learner's have contradicted; at most as many as the broker knows.
        self._judged_update = -1
        self._until_s: float | None = None
        self._others_until_s = math.inf
        self._unanswered: set[str] = set()
        self._why_unjudged = ""
        # Why an evaluation after the last env step had no result.

    @property
    def is_solved(self) -> bool:
        """Whether the target score was reached, and confirmed by fresh games."""
        return self._fresh is not None

    def request_if_due(self) -> None:
        """Requests an evaluation of the current weights, if it is time for one."""
        clock, returns = self._updater.clock, self._updater.recent.returns
        if self._reached is None and self._threshold.is_due(
            returns.mean_return, clock.first_mean, clock.env_steps, returns.mean_length
        ):
            self._request()

    def answered(self, *, is_spent: bool) -> None:
        """Judges an answer, if one has arrived.

        Args:
            is_spent: Whether the last env step is reached.
        """
        answer = self._threshold.answer(self._updater.clock.env_steps)
        if isinstance(answer, NoAnswer):
            self._say_no_answer(answer, is_spent)
        elif answer is not None:
            self._reporter.is_evaluating = False
            self._report(answer)
            self._judge(answer, is_spent)

    def is_final(self) -> bool:
        """After the last env step: whether its weights were judged, or the time for that is over.

        The first call saves them, and every call requests an evaluation that is lacking.
        """
        now_s = time.monotonic()
        if self._until_s is None:
            self._until_s, self._others_until_s = now_s + LAST_GAMES_S, now_s + OTHERS_S
            if self._threshold.is_waiting or self._is_unjudged:
                self._reporter.message(
                    f"the last env step is reached; waiting for {self._threshold.games_told}, "
                    f"for {LAST_GAMES_S:.0f} s at most"
                )
                # Nothing changes any more, and the games may be the last thing that happens.
                self._saver.save()
        if not self._threshold.is_waiting:
            if not self._is_unjudged:
                return True
            self._request()
            self._others_until_s = now_s + OTHERS_S
        if now_s >= self._others_until_s:
            self._others_until_s = math.inf
            if self._threshold.play_instead():
                self._reporter.message(
                    f"no worker has played them within {OTHERS_S:.0f} s, so the learner does"
                )
        if now_s < self._until_s:
            return False
        self._why_unjudged = f"the games were not finished within {LAST_GAMES_S:.0f} s"
        self._reporter.message(
            f"the games were not finished {LAST_GAMES_S:.0f} s after the last env step; the run "
            "ends without them"
        )
        return True

    def keep_reached(self) -> None:
        """Writes the state that reached the target score, if fresh games are still lacking."""
        if self._reached is not None and self._threshold.is_credible(self._reached.evaluated):
            self._saver.keep(self._reached.evaluated)

    def outcome(self, *, is_spent: bool) -> Outcome:
        """How training ended."""
        if self._reached is not None and self._fresh is not None:
            return self._solved(self._reached, self._fresh)
        clock, returns = self._updater.clock, self._updater.recent.returns
        decided = self._reached.evaluated if self._reached is not None else None
        if decided is not None and not self._threshold.is_credible(decided):
            decided = None
        last = decided or self._last
        is_judged = last is not None and last.checkpoint.updates == self._judged_update
        spoiled = self._reporter.spoiled if is_spent else ""
        return Outcome(
            "failed" if spoiled else "max env steps" if is_spent else "stopped",
            clock.env_steps,
            clock.updates,
            clock.version,
            clock.trained_s,
            self._threshold.value,
            deciding_mean=decided.mean_return if decided else None,
            deciding_games=len(decided.result.returns) if decided else 0,
            policy=last.policy if last else "greedy",
            last_mean=last.mean_return if last else None,
            last_games=len(last.result.returns) if last else 0,
            reason=spoiled or ("" if is_judged else self._why_unjudged),
            last_env_steps=last.checkpoint.env_steps if last else 0,
            training_mean=returns.mean_return if returns.size else None,
            training_episodes=returns.size,
            remarks=(*(last.remarks if last else ()), *self._reporter.closing_remarks()),
            advice=tuple(self._reporter.closing_advice()),
        )

    def _solved(self, reached: Reached, fresh: Evaluated) -> Outcome:
        decided = reached.evaluated
        return Outcome(
            ended="solved",
            env_steps=decided.checkpoint.env_steps,
            updates=decided.checkpoint.updates,
            version=decided.checkpoint.version,
            trained_s=self._updater.clock.trained_s,
            threshold=self._threshold.value,
            deciding_mean=decided.mean_return,
            deciding_games=len(decided.result.returns),
            evaluated_at_s=reached.at_s,
            fresh_mean=fresh.mean_return,
            fresh_games=len(fresh.result.returns),
            policy=fresh.policy,
            remarks=(*fresh.remarks, *self._reporter.closing_remarks()),
        )

    @property
    def _is_unjudged(self) -> bool:
        updates = self._updater.clock.updates
        return self._threshold.value is not None and 0 < updates != self._judged_update

    def _request(self) -> None:
        """Requests an evaluation of the current weights."""
        self._updater.publish_if_changed()
        checkpoint = self._saver.present()
        self._judged_update = checkpoint.updates
        self._ask(checkpoint, self._updater.recent.returns.mean_return)

    def _ask(
        self,
        checkpoint: Checkpoint,
        training_mean: float,
        actions: str | None = None,
        *,
        here: bool = False,
    ) -> None:
        weights = replace(self._updater.weights(checkpoint.version), arrays=checkpoint.weights)
        self._reporter.is_evaluating = True
        self._threshold.ask(
            checkpoint, weights, actions=actions, training_mean=training_mean, here=here
        )

    def _say_no_answer(self, answer: NoAnswer, is_spent: bool) -> None:
        """Reports each kind once, and whatever the run ends without.

        An evaluation that waited for confirmation stays unconfirmed.
        """
        self._reporter.is_evaluating = False
        reached, self._reached, self._greedy = self._reached, None, None
        checked, self._checked = self._checked, None
        for earlier in (reached.evaluated if reached else None, checked):
            if earlier is not None:
                self._keep_if_best(earlier)
        why = answer.text.rstrip(".")
        if is_spent:
            self._reporter.message(f"the evaluation has no result: {why}; {self._after_the_last()}")
            self._why_unjudged = why
        elif answer.kind not in self._unanswered:
            self._unanswered.add(answer.kind)
            self._reporter.message(
                f"the evaluation has no result: {why}. Training goes on; the next try is "
                f"{self._next_told()}."
            )
        else:
            log.warning("an evaluation has no result", kind=answer.kind, reason=answer.text)

    def _after_the_last(self) -> str:
        """What follows an evaluation without a result after the last env step."""
        if self._is_unjudged:
            return "the last weights are evaluated next."
        return "the run ends without it."

    def _report(self, evaluated: Evaluated) -> None:
        """Reports an evaluation, and before it one of another's that it confirms."""
        wanted, reached = self._threshold.value, self._reached
        if reached is not None and evaluated.is_own:
            decided = reached.evaluated
            is_told = self._is_credible(decided)
            if not is_told and self._threshold.is_confirmed(decided, evaluated):
                self._reporter.evaluated(decided, wanted)
        if self._is_credible(evaluated):
            self._reporter.evaluated(evaluated, wanted)

    def _judge(self, evaluated: Evaluated, is_spent: bool) -> None:
        threshold = self._threshold
        if self._is_credible(evaluated):
            self._last = evaluated
        greedy, self._greedy = self._greedy, None
        checked, self._checked = self._checked, None
        if checked is not None:
            self._compare(checked, evaluated)
        if self._reached is not None:
            self._confirm(self._reached.evaluated, evaluated)
            return
        if greedy is not None:
            threshold.compared(greedy, evaluated)
        if threshold.is_reached(evaluated):
            self._reached = Reached(evaluated, time.time())
            # Another's games end no run alone: the learner then plays the second set itself.
            here = not evaluated.is_own
            if here:
                self._reporter.message(f"{_said_by(evaluated)}; the learner plays {_SAME} itself")
            self._ask(evaluated.checkpoint, evaluated.training_mean, evaluated.actions, here=here)
            return
        if not threshold.is_credible(evaluated):
            self._say_no_answer(_unconfirmed(evaluated), is_spent)
            return
        if threshold.wants_own(evaluated) or evaluated.login in self._suspects:
            self._checked = evaluated
            self._ask(evaluated.checkpoint, evaluated.training_mean, evaluated.actions, here=True)
            return
        if threshold.wants_sampled(evaluated):
            self._greedy = evaluated
            self._reporter.message(
                "greedy games stay below the level that sampled play has reached in training, so "
                "the same weights are judged by sampled actions (evaluation.actions)"
            )
            self._ask(evaluated.checkpoint, evaluated.training_mean, "sample")
        self._keep_if_best(evaluated)

    def _is_credible(self, evaluated: Evaluated) -> bool:
        """Whether an evaluation may be kept and reported before the learner has played its own."""
        is_suspect = not evaluated.is_own and evaluated.login in self._suspects
        return self._threshold.is_credible(evaluated) and not is_suspect

    def _compare(self, theirs: Evaluated, own: Evaluated) -> None:
        """Says so, once for a login, if the learner's own games contradict another's."""
        if not self._threshold.disagrees(theirs, own):
            self._keep_if_best(theirs)
            return
        if theirs.login in self._suspects:
            return
        self._suspects.add(theirs.login)
        self._reporter.message(
            f"{_said_by(theirs)}, and the learner's own {len(own.result.returns)} games of "
            f"{_SAME} come to {number(own.mean_return, beside=self._threshold.value)}. Its "
            "environment is another one, or it reports what is not so: the learner's own games "
            "count, and from now on it plays again whatever that login has played"
        )

    def _keep_if_best(self, evaluated: Evaluated) -> None:
        if self._is_credible(evaluated):
            self._saver.keep_if_best(evaluated)

    def _confirm(self, decided: Evaluated, fresh: Evaluated) -> None:
        if decided.is_own and not fresh.is_own:
            # No more than it can end a run alone can another keep it from its end.
            self._checked = fresh
            self._ask(fresh.checkpoint, fresh.training_mean, fresh.actions, here=True)
            return
        if self._threshold.is_confirmed(decided, fresh):
            self._fresh = fresh
            self._saver.end_with(decided)
            return
        self._reached = None
        self._keep_if_best(fresh)
        wanted = self._threshold.value
        self._reporter.message(
            f"not solved: {len(decided.result.returns)} {decided.policy} games came to "
            f"{number(decided.mean_return, beside=wanted)}, and {len(fresh.result.returns)} fresh "
            f"ones of the same weights to {number(fresh.mean_return, beside=wanted)}. Training "
            f"goes on; the next evaluation is {self._next_told()}."
        )

    def _next_told(self) -> str:
        clock, returns = self._updater.clock, self._updater.recent.returns
        return self._threshold.next_told(
            returns.mean_return, clock.first_mean, clock.env_steps, returns.mean_length
        )


def _said_by(evaluated: Evaluated) -> str:
    """Whose games they were and what they came to, before a comma or a semicolon."""
    result = evaluated.result
    whose = f"player {result.player}" + (f" of login {evaluated.login}" if evaluated.login else "")
    return (
        f"{whose} reports a mean of {number(evaluated.mean_return)} in {len(result.returns)} "
        f"{evaluated.policy} games (version {result.policy_version})"
    )


def _unconfirmed(evaluated: Evaluated) -> NoAnswer:
    """What becomes of another's games that are beyond the target, and not all played."""
    result = evaluated.result
    return NoAnswer(
        result.request,
        "Unconfirmed",
        f"a worker reports a mean return of {number(evaluated.mean_return)}, but played only "
        f"{len(result.returns) - result.cut} of {result.asked} games to their end",
    )
