"""One run's training from start or resume to its end: update, report, evaluate, checkpoint, stop."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import structlog

from tinyqueue.data.session import SessionBatch
from tinyqueue.experiment import Experiment
from tinyqueue.learner.checkpoint import Checkpoint
from tinyqueue.learner.checkpoints import Checkpoints
from tinyqueue.learner.ledger import Ledger
from tinyqueue.learner.level import Evaluated, Level
from tinyqueue.learner.outcome import Ended, Outcome
from tinyqueue.learner.reporter import Reporter
from tinyqueue.learner.trainer import Trainer

FRESH_GAMES_S = 60.0
"""How long the second set of games may take before the run ends without it."""

log = structlog.get_logger(__name__)


class Training:
    """Joins a trainer with its checkpoints, its level and its reports. Knows no broker.

    Args:
        experiment: What is trained.
        trainer: Does the updates.
        checkpoints: Where the run's states are kept.
        level: Decides when it is solved.
        reporter: Tells people and files.
    """

    def __init__(
        self,
        experiment: Experiment,
        trainer: Trainer,
        checkpoints: Checkpoints,
        level: Level,
        reporter: Reporter,
    ) -> None:
        self._experiment = experiment
        self._trainer = trainer
        self._checkpoints = checkpoints
        self._level = level
        self._reporter = reporter
        self._saved_s = time.monotonic()
        self._decided: Evaluated | None = None
        self._decided_at_s: float | None = None

    def restore(self, ledger: Ledger | None) -> None:
        """Goes on from the newest whole checkpoint, if there is one, and says what was restored.

        Args:
            ledger: What was accepted since is not trained again; it is counted as lost updates.
        """
        checkpoint = self._checkpoints.newest()
        for warning in self._checkpoints.warnings:
            self._reporter.message(warning)
        if checkpoint is None:
            return
        self._trainer.restore(checkpoint)
        clock = self._trainer.clock
        accepted = ledger.env_steps if ledger else clock.env_steps
        lost = max(0, accepted - clock.env_steps)
        clock.env_steps += lost
        self._reporter.message(
            f"resumed from the checkpoint at {checkpoint.env_steps:,} env steps "
            f"(update {checkpoint.updates:,}); updates on {lost:,} env steps accepted since are lost"
        )

    def update(self, batches: Sequence[SessionBatch]) -> None:
        """One update with all that follows from it.

        Raises:
            TinyqueueError: The loss is not finite, or a checkpoint cannot be written.
        """
        self._trainer.update(batches)
        self._reporter.trained(batches)
        trainer = self._trainer
        if self._level.is_near(trainer.progress.returns, trainer.clock.env_steps):
            self._ask(self._trainer.checkpoint())
        if time.monotonic() - self._saved_s >= self._experiment.learner.checkpoint_every_s:
            self.save()

    def is_over(self) -> bool:
        """Whether the level or the last step is reached. Takes in evaluations that have come."""
        evaluated = self._level.answer()
        if evaluated is not None:
            self._reporter.evaluated(evaluated, self._level.threshold)
            if self._level.is_reached(evaluated):
                self._decided, self._decided_at_s = evaluated, time.time()
                return True
            best = self._checkpoints.best()
            if best is None or evaluated.mean_return > (best.score or 0.0):
                self._checkpoints.save(_scored(evaluated))
        limit = self._experiment.stop.max_env_steps
        return limit is not None and self._trainer.clock.env_steps >= limit

    def finish(self) -> Outcome:
        """Saves what was reached, and has the deciding weights play a second set of games."""
        clock = self._trainer.clock
        if self._decided is None:
            self.save()
            limit = self._experiment.stop.max_env_steps
            reached = limit is not None and clock.env_steps >= limit
            ended: Ended = "max env steps" if reached else "stopped"
            return Outcome(
                ended, clock.env_steps, clock.updates, clock.version, clock.trained_s,
                self._level.threshold,
            )  # fmt: skip
        decided = _scored(self._decided)
        self._checkpoints.save(decided)
        fresh = self._fresh_games(decided)
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
        """Writes a checkpoint of the present state."""
        self._checkpoints.save(self._trainer.checkpoint())
        self._saved_s = time.monotonic()

    def _ask(self, checkpoint: Checkpoint) -> None:
        weights = replace(self._trainer.weights(checkpoint.version), arrays=checkpoint.weights)
        self._level.ask(checkpoint, weights)
        self._reporter.is_evaluating = True

    def _fresh_games(self, checkpoint: Checkpoint) -> Evaluated | None:
        self._ask(checkpoint)
        deadline_s = time.monotonic() + FRESH_GAMES_S
        while time.monotonic() < deadline_s:
            evaluated = self._level.answer()
            if evaluated is not None:
                self._reporter.evaluated(evaluated, self._level.threshold)
                return evaluated
            time.sleep(0.005)
        log.warning("no second evaluation came back", waited_s=FRESH_GAMES_S)
        return None


def _scored(evaluated: Evaluated) -> Checkpoint:
    return replace(evaluated.checkpoint, score=evaluated.mean_return)
