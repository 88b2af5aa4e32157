"""The training of one run, from start or resume to the end: update, report, evaluate, save."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import structlog

from tinyqueue.algorithms.base import LossNotFiniteError
from tinyqueue.data.session import SessionBatch
from tinyqueue.evaluation.answers import NoAnswer
from tinyqueue.evaluation.threshold import Evaluated, ReturnThreshold
from tinyqueue.experience.source import Source, Taken
from tinyqueue.experiment.experiment import Experiment
from tinyqueue.learner.failed_updates import FailedUpdates
from tinyqueue.learner.reporter import Reporter
from tinyqueue.learner.saver import Saver
from tinyqueue.learner.updater import Updater
from tinyqueue.ledger.ledger import Ledger
from tinyqueue.monitor.view import number
from tinyqueue.run.checkpoint import Checkpoint
from tinyqueue.run.checkpoints import Checkpoints
from tinyqueue.run.outcome import Outcome

LAST_GAMES_S = 120.0
"""How long a run waits for its last evaluation after the last env step."""

log = structlog.get_logger(__name__)


class TrainingRun:
    """Connects an updater with checkpoints, evaluations and reports. Knows no broker.

    Args:
        experiment: The experiment.
        updater: Does the updates.
        checkpoints: Keeps the run's states.
        threshold: Decides when the run is solved.
        reporter: Reports to the user and to files.
        source: Supplies the experience.
    """

    def __init__(
        self,
        experiment: Experiment,
        updater: Updater,
        checkpoints: Checkpoints,
        threshold: ReturnThreshold,
        reporter: Reporter,
        source: Source,
    ) -> None:
        self._experiment = experiment
        self._updater = updater
        self._checkpoints = checkpoints
        self._threshold = threshold
        self._reporter = reporter
        self._source = source
        self.saver = Saver(
            updater, source, checkpoints, every_s=experiment.learner.checkpoint_every_s
        )
        """Decides which states are written. Call it after the batches were handed back."""
        self._failed = FailedUpdates(updater.algorithm, source, reporter.refused)
        self._decided: Evaluated | None = None
        self._decided_at_s: float | None = None
        self._fresh: Evaluated | None = None
        self._last: Evaluated | None = None
        self._greedy: Evaluated | None = None
        # A greedy evaluation whose weights are being evaluated again with sampled actions.
        self._judged_update = -1
        self._until_s: float | None = None
        self._unanswered: set[str] = set()
        self._why_unjudged = ""
        # Why an evaluation after the last env step had no result.

    def restore(self, ledger: Ledger | None) -> None:
        """Continues from the newest intact checkpoint, if any, and reports what was restored.

        The clock continues from what the ledger has accepted, whatever the checkpoint says.

        Args:
            ledger: Batches accepted since the checkpoint are not trained on again: their updates
                are lost. None without a ledger.

        Raises:
            CheckpointError: No checkpoint is intact, or the newest is from another environment.
        """
        checkpoint = self._checkpoints.newest()
        for warning in self._checkpoints.warnings:
            self._reporter.message(warning)
        if checkpoint is not None:
            self._updater.restore(checkpoint)
        clock = self._updater.clock
        accepted = ledger.env_steps if ledger else clock.env_steps
        lost = max(0, accepted - clock.env_steps)
        self._say_restored(checkpoint, lost)
        restored = self._source.restore(checkpoint)
        if restored:
            self._reporter.message(restored)
        # The ledger decides what was accepted. After a kill between a checkpoint and the ledger's
        # next commit, the batch in between is delivered again and counted then.
        # A run trained with --serial has no ledger, and keeps its checkpoint's clock.
        clock.env_steps = max(accepted, clock.env_steps)

    def _say_restored(self, checkpoint: Checkpoint | None, since: int) -> None:
        """Reports the restored checkpoint, and what happens to env steps accepted since."""
        if self._experiment.replay is not None:
            fate = f"{since:,} env steps accepted since are trained on from the replay"
        else:
            fate = f"updates on {since:,} env steps accepted since are lost"
        if checkpoint is not None:
            restored = (
                f"resumed from the checkpoint at {checkpoint.env_steps:,} env steps "
                f"(update {checkpoint.updates:,})"
            )
            self._reporter.message(f"{restored}; {fate}" if since else restored)
        elif since:
            self._reporter.message(
                f"the run has no checkpoint yet: training starts from scratch, and {fate}"
            )

    def update(self, taken: Taken) -> None:
        """Does at most one update, and may request an evaluation.

        Args:
            taken: From the source.

        Raises:
            TinyqueueError: The loss has not been finite for several updates, or a weight is not.
        """
        try:
            update = self._updater.update(taken)
        except LossNotFiniteError as error:
            self._failed.failed(taken, self._updater.clock.env_steps, error)
            self.count(taken.arrived if self._source.counts_failed else ())
            return
        self._reporter.trained(taken.arrived)
        if update is not None:
            self._failed.succeeded(taken.experience)
            self._source.trained(taken, update)
        clock, returns = self._updater.clock, self._updater.recent.returns
        if self._decided is None and self._threshold.is_due(
            returns.mean_return, clock.first_mean, clock.env_steps, returns.mean_length
        ):
            self._evaluate()

    def count(self, rest: Sequence[SessionBatch]) -> None:
        """Counts batches that were accepted but not trained on."""
        self._updater.update(Taken(rest))
        self._reporter.trained(rest)

    def waited(self) -> None:
        """Call it when no batch has arrived for a moment, or none is needed any more."""
        if self.is_spent:
            self._reporter.look()
        else:
            self._reporter.waited()

    @property
    def is_spent(self) -> bool:
        """Whether the last env step is reached, so that training has ended."""
        limit = self._experiment.stop.max_env_steps
        return limit is not None and self._updater.clock.env_steps >= limit

    def is_over(self) -> bool:
        """Whether the target score or the last env step is reached. Handles evaluation results.

        When an evaluation reaches the target score, the same weights are evaluated a second time,
        and training goes on until the result arrives: players that wait for room in the queue would
        otherwise delay it.
        """
        answer = self._threshold.answer()
        if isinstance(answer, NoAnswer):
            self._say_no_answer(answer)
        elif answer is not None:
            self._reporter.evaluated(answer, self._threshold.value)
            self._judge(answer)
        if self._fresh is not None:
            self.saver.write_last()
            return True
        return self.is_spent and self._has_been_judged()

    def _has_been_judged(self) -> bool:
        """Whether the last weights were evaluated, or the time to wait for that is over."""
        now_s = time.monotonic()
        if self._until_s is None:
            self._until_s = now_s + LAST_GAMES_S
            if self._threshold.is_waiting or self._is_unjudged:
                self._reporter.message(
                    "the last env step is reached; waiting for evaluation games, at most "
                    f"{LAST_GAMES_S:.0f} s"
                )
                # Nothing changes any more, and the games may be the last thing that happens.
                self.saver.save()
        if not self._threshold.is_waiting:
            if not self._is_unjudged:
                return True
            self._evaluate()
        if now_s < self._until_s:
            return False
        self._why_unjudged = f"the games were not finished within {LAST_GAMES_S:.0f} s"
        self._reporter.message(
            f"the games were not finished {LAST_GAMES_S:.0f} s after the last env step; the run "
            "ends without them"
        )
        return True

    @property
    def _is_unjudged(self) -> bool:
        updates = self._updater.clock.updates
        return self._threshold.value is not None and 0 < updates != self._judged_update

    def finish(self) -> Outcome:
        """Saves the final state, and returns how training ended."""
        clock = self._updater.clock
        self._save_all()
        if self._decided is not None and self._fresh is not None:
            return self._solved(self._decided, self._fresh)
        decided = self._decided
        if decided is not None and not self._threshold.is_credible(decided):
            decided = None
        last = decided or self._last
        is_judged = last is not None and last.checkpoint.updates == self._judged_update
        return Outcome(
            "max env steps" if self.is_spent else "stopped",
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
            reason="" if is_judged else self._why_unjudged,
            last_env_steps=last.checkpoint.env_steps if last else 0,
            remarks=(*(last.remarks if last else ()), *self._reporter.closing_remarks()),
            advice=tuple(self._reporter.closing_advice()),
        )

    def _solved(self, decided: Evaluated, fresh: Evaluated) -> Outcome:
        checkpoint = decided.checkpoint
        return Outcome(
            ended="solved",
            env_steps=checkpoint.env_steps,
            updates=checkpoint.updates,
            version=checkpoint.version,
            trained_s=self._updater.clock.trained_s,
            threshold=self._threshold.value,
            deciding_mean=decided.mean_return,
            deciding_games=len(decided.result.returns),
            evaluated_at_s=self._decided_at_s,
            fresh_mean=fresh.mean_return,
            fresh_games=len(fresh.result.returns),
            policy=fresh.policy,
            remarks=(*fresh.remarks, *self._reporter.closing_remarks()),
        )

    @contextmanager
    def saving(self, is_ours: Callable[[], bool] = lambda: True) -> Iterator[None]:
        """Saves the state if an exception leaves the block, then raises it again.

        Args:
            is_ours: Whether this learner may still save the run.
        """
        try:
            yield
        except Exception:
            if is_ours():
                try:
                    self._save_all()
                except Exception as error:
                    log.error("the last state was not saved either", error=repr(error))
            raise

    def _save_all(self) -> None:
        """Writes the final state, and tells the user if that failed."""
        if self._fresh is None:
            if self._decided is not None and self._threshold.is_credible(self._decided):
                self.saver.keep(self._decided)
            self.saver.end_with()
        self.saver.write_last(at_once=True)
        unwritten = self.saver.unwritten
        if unwritten is not None:
            self._reporter.message(
                f"the state at {unwritten.env_steps:,} env steps is NOT saved: the disk is full "
                "or too slow; the log says which. Earlier checkpoints, if there are any, are "
                "untouched."
            )

    def _evaluate(self) -> None:
        """Requests an evaluation of the current weights."""
        self._updater.publish_if_changed()
        checkpoint = self.saver.present()
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

    def _say_no_answer(self, answer: NoAnswer) -> None:
        """Reports each kind once, and whatever the run ends without.

        An evaluation that waited for confirmation stays unconfirmed.
        """
        self._reporter.is_evaluating = False
        decided, self._decided, self._greedy = self._decided, None, None
        if decided is not None:
            self._keep_if_best(decided)
        why = answer.text.rstrip(".")
        if self.is_spent:
            self._reporter.message(f"the evaluation has no result: {why}; {self._after_the_last()}")
            self._why_unjudged = why
        elif answer.kind not in self._unanswered:
            self._unanswered.add(answer.kind)
            self._reporter.message(
                f"the evaluation has no result: {why}. Training goes on; the next try is in "
                f"{self._threshold.interval:,} env steps."
            )
        else:
            log.warning("an evaluation has no result", kind=answer.kind, reason=answer.text)

    def _after_the_last(self) -> str:
        """What follows an evaluation without a result after the last env step."""
        if self._is_unjudged:
            return "the last weights are evaluated next."
        return "the run ends without it."

    def _judge(self, evaluated: Evaluated) -> None:
        threshold = self._threshold
        if threshold.is_credible(evaluated):
            self._last = evaluated
        greedy, self._greedy = self._greedy, None
        if self._decided is not None:
            self._confirm(self._decided, evaluated)
            return
        if greedy is not None:
            threshold.compared(greedy, evaluated)
        if threshold.is_reached(evaluated):
            self._decided, self._decided_at_s = evaluated, time.time()
            # Another's games end no run alone: the learner then plays the second set itself.
            here = not evaluated.is_own
            self._ask(evaluated.checkpoint, evaluated.training_mean, evaluated.actions, here=here)
            return
        if not threshold.is_credible(evaluated):
            self._say_no_answer(_unconfirmed(evaluated))
            return
        if threshold.wants_sampled(evaluated):
            self._greedy = evaluated
            self._reporter.message(
                "greedy games stay below the level that sampled play has reached in training, so "
                "the same weights are judged by sampled actions (evaluation.actions)"
            )
            self._ask(evaluated.checkpoint, evaluated.training_mean, "sample")
        self._keep_if_best(evaluated)

    def _keep_if_best(self, evaluated: Evaluated) -> None:
        if self._threshold.is_credible(evaluated):
            self.saver.keep_if_best(evaluated)

    def _confirm(self, decided: Evaluated, fresh: Evaluated) -> None:
        if self._threshold.is_confirmed(decided, fresh):
            self._fresh = fresh
            self.saver.end_with(decided)
            return
        self._decided = None
        self._keep_if_best(fresh)
        wanted = self._threshold.value
        self._reporter.message(
            f"not solved: {len(decided.result.returns)} {decided.policy} games came to "
            f"{number(decided.mean_return, beside=wanted)}, and {len(fresh.result.returns)} fresh "
            f"ones of the same weights to {number(fresh.mean_return, beside=wanted)}. Training "
            f"goes on; the next evaluation is in {self._threshold.interval:,} env steps."
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
