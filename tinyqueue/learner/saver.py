"""Decides which states of a run are saved, and when; the last is retried until it is on disk."""

from __future__ import annotations

import math
import time
from dataclasses import replace

import structlog

from tinyqueue.errors import CheckpointError
from tinyqueue.evaluation.evaluated import Evaluated
from tinyqueue.experience.source import Source
from tinyqueue.learner.updater import Updater
from tinyqueue.run.checkpoint import Checkpoint
from tinyqueue.run.checkpoints import Checkpoints

RETRY_S = 60.0
"""Time between two attempts to write the final state of a run."""
SHARE = 0.01
"""Share of the time that checkpoints may take."""
STRETCHED_FROM_S, STRETCHED_TO_S = 10.0, 60.0
"""An interval in between is stretched for the sake of :data:`SHARE`. Shorter ones were asked for
explicitly."""

log = structlog.get_logger(__name__)


class Saver:
    """Writes checkpoints. A full disk does not end the run: it is logged.

    Every method that writes raises CheckpointError if the disk fails.

    Args:
        updater: Has the state to write.
        source: Has the experience's part of it, and knows when the ledger has caught up.
        checkpoints: Writes them.
        every_s: Seconds between two checkpoints, if writing one takes less than a hundredth of it.
    """

    def __init__(
        self, updater: Updater, source: Source, checkpoints: Checkpoints, every_s: float
    ) -> None:
        self._updater = updater
        self._source = source
        self._checkpoints = checkpoints
        self._every_s = every_s
        self._saved_s = time.monotonic()
        self._cost_s = 0.0
        self._retry_s = -math.inf
        self._saved: tuple[int, int] | None = None
        self.unwritten: Checkpoint | None = None
        """The final state of the run, until it is on disk."""

    def present(self) -> Checkpoint:
        """The current state, in memory."""
        return self._updater.checkpoint(self._source.state())

    def save(self) -> None:
        """Writes the current state."""
        began_s = time.monotonic()
        state = self.present()
        if self._write(state):
            self._saved = state.env_steps, state.updates
        self._saved_s = time.monotonic()
        self._cost_s = self._saved_s - began_s

    def save_if_due(self) -> None:
        """Writes the current state if the last write was at least :attr:`interval_s` ago."""
        if time.monotonic() >= self._saved_s + self.interval_s:
            self.save()

    @property
    def interval_s(self) -> float:
        """Time between two checkpoints, by what the last one cost."""
        if self._every_s < STRETCHED_FROM_S:
            return self._every_s
        return max(self._every_s, min(self._cost_s / SHARE, STRETCHED_TO_S))

    def keep(self, evaluated: Evaluated) -> None:
        """Writes an evaluated state, with its mean return as its score."""
        self._write(_scored(evaluated))

    def keep_if_best(self, evaluated: Evaluated) -> None:
        """Writes an evaluated state unless a saved one has at least its score."""
        best = self._best_score()
        if best is None or evaluated.mean_return > best:
            self.keep(evaluated)

    def end_with(self, evaluated: Evaluated | None = None) -> None:
        """Sets the final state of the run, without writing it.

        Args:
            evaluated: The state; None: the current one, unless the last checkpoint holds it.
        """
        if evaluated is not None:
            self.unwritten = _scored(evaluated)
            return
        state = self.present()
        self.unwritten = None if self._saved == (state.env_steps, state.updates) else state

    def write_last(self, *, at_once: bool = False) -> None:
        """Tries to write the final state, at most once per :data:`RETRY_S`.

        Args:
            at_once: Try regardless of the last attempt.
        """
        if self.unwritten is None or not (at_once or time.monotonic() >= self._retry_s):
            return
        if self._write(self.unwritten, is_last=True):
            self.unwritten = None
        # Counted from the end of an attempt: waiting for the ledger may take ten seconds.
        self._retry_s = time.monotonic() + RETRY_S

    def _write(self, checkpoint: Checkpoint, *, is_last: bool = False) -> bool:
        if self._source.wait_until_settled():
            return self._checkpoints.save(checkpoint, is_last=is_last) is not None
        log.warning("no checkpoint written: the ledger has not recorded the last batches yet")
        return False

    def _best_score(self) -> float | None:
        try:
            best = self._checkpoints.best()
        except CheckpointError as error:
            log.warning("no evaluated checkpoint can be read", error=str(error))
            return None
        return best.score if best else None


def _scored(evaluated: Evaluated) -> Checkpoint:
    return replace(evaluated.checkpoint, score=evaluated.mean_return)
