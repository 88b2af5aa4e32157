"""Which states of a run are written, and when; the last is tried until the disk has it."""

from __future__ import annotations

import math
import time
from dataclasses import replace

import structlog

from tinyqueue.errors import CheckpointError
from tinyqueue.evaluation.threshold import Evaluated
from tinyqueue.experience.source import Source
from tinyqueue.learner.updater import Updater
from tinyqueue.run.checkpoint import Checkpoint
from tinyqueue.run.checkpoints import Checkpoints

RETRY_S = 60.0
"""Between two tries to write the state that a run ends with."""

log = structlog.get_logger(__name__)


class Saver:
    """Writes checkpoints. A disk that has no room now ends nothing: the log says so.

    Args:
        updater: Whose state is written.
        source: What a checkpoint keeps of the experience; it says when the ledger has caught up.
        checkpoints: Where they are written.
        every_s: Seconds between two checkpoints.

    Every method that writes raises CheckpointError when the disk fails.
    """

    def __init__(
        self, updater: Updater, source: Source, checkpoints: Checkpoints, every_s: float
    ) -> None:
        self._updater = updater
        self._source = source
        self._checkpoints = checkpoints
        self._every_s = every_s
        self._saved_s = time.monotonic()
        self._retry_s = -math.inf
        self.unwritten: Checkpoint | None = None
        """What the run ends with, as long as the disk does not have it."""

    def present(self) -> Checkpoint:
        """The present state, in memory."""
        return self._updater.checkpoint(self._source.state())

    def save(self) -> None:
        """Writes the present state."""
        self._write(self.present())
        self._saved_s = time.monotonic()

    def save_if_due(self) -> None:
        """Writes the present state when the last one that was written is old enough."""
        if time.monotonic() >= self._saved_s + self._every_s:
            self.save()

    def keep(self, evaluated: Evaluated) -> None:
        """Writes the state that games have judged, with their mean."""
        self._write(_scored(evaluated))

    def keep_if_best(self, evaluated: Evaluated) -> None:
        """Does so unless a better one is there."""
        best = self._best_score()
        if best is None or evaluated.mean_return > best:
            self.keep(evaluated)

    def end_with(self, evaluated: Evaluated | None = None) -> None:
        """From now on this is the state that the run ends with: the present one when None."""
        self.unwritten = self.present() if evaluated is None else _scored(evaluated)

    def write_last(self, *, at_once: bool = False) -> None:
        """Tries to write what the run ends with, every now and then.

        Args:
            at_once: However short a time ago it was tried.
        """
        if self.unwritten is None or not (at_once or time.monotonic() >= self._retry_s):
            return
        if self._write(self.unwritten, is_last=True):
            self.unwritten = None
        # From the end of a try: the ledger alone may take ten seconds to say no.
        self._retry_s = time.monotonic() + RETRY_S

    def _write(self, checkpoint: Checkpoint, *, is_last: bool = False) -> bool:
        if self._source.wait_until_settled():
            return self._checkpoints.save(checkpoint, is_last=is_last) is not None
        log.warning("no checkpoint written: the ledger has not taken the last batches yet")
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
