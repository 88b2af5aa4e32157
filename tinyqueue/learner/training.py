"""One run's training from start or resume to its end: update, report, evaluate, save, stop."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace

import structlog

from tinyqueue.data.session import SessionBatch
from tinyqueue.errors import CheckpointError
from tinyqueue.experiment.experiment import Experiment
from tinyqueue.learner.checkpoint import Checkpoint
from tinyqueue.learner.checkpoints import Checkpoints
from tinyqueue.learner.experience import Source, Taken
from tinyqueue.learner.ledger import Ledger
from tinyqueue.learner.level import Evaluated, Level
from tinyqueue.learner.outcome import Ended, Outcome
from tinyqueue.learner.reporter import Reporter
from tinyqueue.learner.trainer import Trainer

_RETRY_S = 60.0
"""Between two tries to write the state that a run ends with."""

log = structlog.get_logger(__name__)


class Training:
    """Joins a trainer with its checkpoints, its level and its reports. Knows no broker.

    Args:
        experiment: What is trained.
        trainer: Does the updates.
        checkpoints: Where the run's states are kept.
        level: Decides when it is solved.
        reporter: Tells people and files.
        source: Where its experience comes from.
    """

    def __init__(
        self,
        experiment: Experiment,
        trainer: Trainer,
        checkpoints: Checkpoints,
        level: Level,
        reporter: Reporter,
        source: Source,
    ) -> None:
        self._experiment = experiment
        self._trainer = trainer
        self._checkpoints = checkpoints
        self._level = level
        self._reporter = reporter
        self._source = source
        self._saved_s = time.monotonic()
        self._decided: Evaluated | None = None
        self._decided_at_s: float | None = None
        self._fresh: Evaluated | None = None
        self._unwritten: Checkpoint | None = None
        self._retry_s = -math.inf

    def restore(self, ledger: Ledger | None) -> None:
        """Goes on from the newest whole checkpoint, if there is one, and says what was restored.

        The clock goes on from what the ledger has accepted, whatever the checkpoint holds.

        Args:
            ledger: What was accepted since is not trained again; it is counted as lost updates.

        Raises:
            CheckpointError: No checkpoint is whole, or the newest is of another environment.
        """
        checkpoint = self._checkpoints.newest()
        for warning in self._checkpoints.warnings:
            self._reporter.message(warning)
        if checkpoint is not None:
            self._trainer.restore(checkpoint)
        clock = self._trainer.clock
        accepted = ledger.env_steps if ledger else clock.env_steps
        lost = max(0, accepted - clock.env_steps)
        self._say_restored(checkpoint, lost)
        restored = self._source.restore(checkpoint)
        if restored:
            self._reporter.message(restored)
        # Accepted is what the ledger says. After a kill between a checkpoint and the ledger's
        # next commit, the batch in between comes again and is counted then.
        # A run that was trained with --serial has no ledger, and keeps its checkpoint's clock.
        clock.env_steps = max(accepted, clock.env_steps)

    def _say_restored(self, checkpoint: Checkpoint | None, since: int) -> None:
        """What the newest checkpoint has, and what becomes of the env steps accepted since."""
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
                f"the run has no checkpoint yet: training begins anew, and {fate}"
            )

    def update(self, taken: Taken) -> None:
        """One update at most; it may ask for an evaluation.

        Raises:
            TinyqueueError: The loss is not finite.
        """
        update = self._trainer.update(taken)
        self._reporter.trained(taken.arrived)
        if update is not None:
            self._source.trained(taken, update)
        clock, returns = self._trainer.clock, self._trainer.progress.returns
        if self._decided is None and self._level.is_near(
            returns.mean_return, clock.first_mean, clock.env_steps
        ):
            self._trainer.publish_if_changed()
            self._ask(self._checkpoint())

    def count(self, rest: Sequence[SessionBatch]) -> None:
        """At the end: what was accepted and not trained on belongs to the clock all the same."""
        self._trainer.update(Taken(rest))
        self._reporter.trained(rest)

    def save_if_due(self) -> None:
        """Writes a checkpoint when the last is old enough. After the batches were handed back.

        Not while an evaluation is outstanding: the state that it judges must be the newest when
        it turns out to be the last.

        Raises:
            CheckpointError: The disk does not take it.
        """
        due_s = self._saved_s + self._experiment.learner.checkpoint_every_s
        if not self._level.is_waiting and time.monotonic() >= due_s:
            self.save()

    def waited(self) -> None:
        """No batch came for a moment, or none is wanted any more."""
        if self.is_spent:
            self._reporter.look()
        else:
            self._reporter.waited()

    @property
    def is_spent(self) -> bool:
        """Whether the run has had its last env step. An evaluation may still be under way."""
        limit = self._experiment.stop.max_env_steps
        return limit is not None and self._trainer.clock.env_steps >= limit

    def is_over(self) -> bool:
        """Whether the level or the last step is reached. Takes in evaluations that have come.

        When the level is reached, the same weights play a second set of games, and training
        goes on until these are back: players that wait for room in the queue would otherwise
        hold up the answer.
        """
        evaluated = self._level.answer()
        if evaluated is not None:
            self._reporter.evaluated(evaluated, self._level.threshold)
            self._judge(evaluated)
        if self._decided is not None:
            self._write_last()
            return self._fresh is not None
        return self.is_spent and not self._level.is_waiting

    def finish(self) -> Outcome:
        """Saves what was reached and says how it ended."""
        clock = self._trainer.clock
        if self._decided is None:
            self._unwritten = self._checkpoint()
        self._retry_s = -math.inf
        self._write_last()
        if self._unwritten is not None:
            self._reporter.message(
                f"the state at {self._unwritten.env_steps:,} env steps is NOT saved: the disk has "
                "no room, or does not keep up; the log says which. Earlier checkpoints, if there "
                "are any, are untouched."
            )
        if self._decided is None:
            ended: Ended = "max env steps" if self.is_spent else "stopped"
            return Outcome(
                ended,
                clock.env_steps,
                clock.updates,
                clock.version,
                clock.trained_s,
                self._level.threshold,
            )
        decided, fresh = self._decided.checkpoint, self._fresh
        return Outcome(
            ended="solved",
            env_steps=decided.env_steps,
            updates=decided.updates,
            version=decided.version,
            trained_s=clock.trained_s,
            threshold=self._level.threshold,
            deciding_mean=self._decided.mean_return,
            deciding_games=len(self._decided.result.returns),
            evaluated_at_s=self._decided_at_s,
            fresh_mean=fresh.mean_return if fresh else None,
            fresh_games=len(fresh.result.returns) if fresh else 0,
        )

    def save(self) -> None:
        """Writes a checkpoint of the present state, unless the disk cannot take it now."""
        self._write(self._checkpoint())
        self._saved_s = time.monotonic()

    def _checkpoint(self) -> Checkpoint:
        return self._trainer.checkpoint(self._source.state())

    def _write(self, checkpoint: Checkpoint) -> bool:
        if self._source.is_settled():
            return self._checkpoints.save(checkpoint) is not None
        log.warning("no checkpoint written: the ledger has not taken the last batches yet")
        return False

    def _write_last(self) -> None:
        """Tried again, now and then, until what the run ends with is on the disk."""
        if self._unwritten is None or time.monotonic() < self._retry_s:
            return
        if self._write(self._unwritten):
            self._unwritten = None
        # From the end of a try: the ledger alone may take ten seconds to say no.
        self._retry_s = time.monotonic() + _RETRY_S

    def _ask(self, checkpoint: Checkpoint) -> None:
        weights = replace(self._trainer.weights(checkpoint.version), arrays=checkpoint.weights)
        self._level.ask(checkpoint, weights)
        self._reporter.is_evaluating = True

    def _judge(self, evaluated: Evaluated) -> None:
        if self._decided is not None:
            self._fresh = evaluated
        elif self._level.is_reached(evaluated):
            self._decided, self._decided_at_s = evaluated, time.time()
            self._unwritten = _scored(evaluated)
            self._ask(evaluated.checkpoint)
        else:
            best = self._best_score()
            if best is None or evaluated.mean_return > best:
                self._write(_scored(evaluated))

    def _best_score(self) -> float | None:
        try:
            best = self._checkpoints.best()
        except CheckpointError as error:
            log.warning("no evaluated checkpoint can be read", error=str(error))
            return None
        return best.score if best else None


def _scored(evaluated: Evaluated) -> Checkpoint:
    return replace(evaluated.checkpoint, score=evaluated.mean_return)
