"""The training of one run, from start or resume to the end: update, report, evaluate, save."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import structlog

from tinyqueue.algorithms.base import LossNotFiniteError
from tinyqueue.data.session import SessionBatch
from tinyqueue.evaluation.threshold import ReturnThreshold
from tinyqueue.experience.failed_updates import FailedUpdates
from tinyqueue.experience.source import Source, Taken
from tinyqueue.experiment.experiment import Experiment
from tinyqueue.learner.judgement import Judgement
from tinyqueue.learner.reporter import Reporter
from tinyqueue.learner.saver import Saver
from tinyqueue.learner.updater import Updater
from tinyqueue.ledger.ledger import Ledger
from tinyqueue.run.checkpoint import Checkpoint
from tinyqueue.run.checkpoints import Checkpoints
from tinyqueue.run.outcome import Outcome

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
        self._reporter = reporter
        self._source = source
        self.saver = Saver(
            updater, source, checkpoints, every_s=experiment.learner.checkpoint_every_s
        )
        """Decides which states are written. Call it after the batches were handed back."""
        self._failed = FailedUpdates(updater, source, reporter.refused)
        self._judgement = Judgement(updater, threshold, self.saver, reporter)

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
        self._judgement.request_if_due()

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
        """Whether the target score or the last env step is reached. Handles evaluation results."""
        self._judgement.answered(is_spent=self.is_spent)
        if self._judgement.is_solved:
            self.saver.write_last()
            return True
        return self.is_spent and self._judgement.is_final()

    def finish(self) -> Outcome:
        """Saves the final state, and returns how training ended."""
        self._save_all()
        return self._judgement.outcome(is_spent=self.is_spent)

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
        if not self._judgement.is_solved:
            self._judgement.keep_reached()
            self.saver.end_with()
        self.saver.write_last(at_once=True)
        unwritten = self.saver.unwritten
        if unwritten is not None:
            self._reporter.message(
                f"the state at {unwritten.env_steps:,} env steps is NOT saved: the disk is full "
                "or too slow; the log says which. Earlier checkpoints, if there are any, are "
                "untouched."
            )
