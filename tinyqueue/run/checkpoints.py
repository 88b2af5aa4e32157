"""A run's checkpoints: the newest few, the best and some older ones, each complete or absent."""

from __future__ import annotations

import math
import os
import re
import secrets
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import structlog

from tinyqueue.errors import CheckpointError
from tinyqueue.run.checkpoint import Checkpoint, read_checkpoint, read_score, write_checkpoint
from tinyqueue.run.durable_files import has_no_room, remove_folder, sync_directory

_NAME = re.compile(r"^(\d+)(?:-(\d+))?$")
_DRAFT = ".new-"
_TRASH = ".old-"

log = structlog.get_logger(__name__)


class CheckpointReader:
    """Reads checkpoints, even while a learner writes and removes them.

    Args:
        directory: The folder of all checkpoints of a run; it may be absent.

    Attributes:
        warnings: Which checkpoints the last :meth:`newest` or :meth:`best` skipped, and why.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.warnings: list[str] = []
        self._refused: set[Path] = set()

    def newest(self) -> Checkpoint | None:
        """The intact checkpoint with the most env steps; None if there is no checkpoint at all.

        Raises:
            CheckpointError: There are checkpoints, but none is intact. Starting from scratch is the
                user's decision.
        """
        return self._first_whole(lambda: list(reversed(self.paths())), "checkpoints")

    def best(self) -> Checkpoint | None:
        """The intact checkpoint with the highest score; None if none has a score.

        Raises:
            CheckpointError: Some have a score, but none of these is intact.
        """
        return self._first_whole(self._paths_by_score, "evaluated checkpoints")

    def load(self, path: Path) -> Checkpoint:
        """Reads one checkpoint.

        Args:
            path: Its folder.

        Raises:
            CheckpointError: It is absent, incomplete, altered, or has another schema.
        """
        try:
            return read_checkpoint(path)
        except CheckpointError as error:
            raise CheckpointError(f"{error}. Load another, or restore it from a copy.") from error

    def paths(self) -> list[Path]:
        """The folders of checkpoints, intact or not, from the oldest to the newest."""
        try:
            names = os.listdir(self.directory)
        except FileNotFoundError:
            return []
        found = [(match, name) for name in names if (match := _NAME.fullmatch(name))]
        found.sort(key=lambda item: (int(item[0][1]), int(item[0][2] or 0)))
        return [self.directory / name for _, name in found]

    def _paths_by_score(self) -> list[Path]:
        scores = {path: read_score(path) for path in self.paths()}
        while any(score is None and not path.exists() for path, score in scores.items()):
            # Removed since it was listed: the learner has written a newer or a better one.
            scores = {path: read_score(path) for path in self.paths()}
        scored = [(score, path) for path, score in scores.items() if score is not None]
        # In a tie the later one, which is last in paths().
        return [path for _, path in sorted(scored, key=lambda item: item[0])][::-1]

    def _first_whole(self, candidates: Callable[[], list[Path]], kind: str) -> Checkpoint | None:
        self.warnings = []
        waiting = candidates()
        while waiting:
            path = waiting.pop(0)
            try:
                return read_checkpoint(path)
            except CheckpointError as error:
                if path.exists():
                    self._refused.add(path)
                    self.warnings.append(f"checkpoint passed over: {error}.")
                else:
                    # The learner has removed it since then, so there are newer ones.
                    self.warnings = []
                    waiting = candidates()
        if self.warnings:
            raise CheckpointError(
                f"none of the {kind} in {self.directory} is intact: "
                f"{' '.join(self.warnings)} Restore one from a copy, or start a new run."
            )
        return None


class Checkpoints(CheckpointReader):
    """Reads and writes checkpoints. One process at a time; the run directory's lock ensures that.

    Args:
        directory: Created if absent. Leftovers of a crash are removed.
        keep: How many of the newest to keep; the best is kept too.
        between: How many older ones to keep as well: the first, and others about equally spaced in
            env steps.
    """

    def __init__(self, directory: Path, keep: int, between: int = 0) -> None:
        super().__init__(directory)
        self._keep, self._between = keep, between
        directory.mkdir(parents=True, exist_ok=True)
        for pattern in (f"{_DRAFT}*", f"{_TRASH}*"):
            for left_over in directory.glob(pattern):
                shutil.rmtree(left_over, ignore_errors=True)

    def save(self, checkpoint: Checkpoint, *, is_last: bool = False) -> Path | None:
        """Writes a checkpoint, then removes those that are no longer needed.

        Args:
            checkpoint: The checkpoint. A score that is not finite is left out: no evaluation may
                cost the state that it measured.
            is_last: The run ends with it: checkpoints with more env steps, written during its
                evaluation, are removed.

        Returns:
            Its folder, named after its env steps; it is on disk by then. None if the disk is full,
            which is logged and does not end the run.

        Raises:
            CheckpointError: The disk failed; earlier checkpoints are untouched.
        """
        if checkpoint.score is not None and not math.isfinite(checkpoint.score):
            log.warning("a score that is not finite is left out", score=checkpoint.score)
            checkpoint = replace(checkpoint, score=None)
        draft = self.directory / f"{_DRAFT}{secrets.token_hex(6)}"
        try:
            draft.mkdir()
            write_checkpoint(draft, checkpoint)
            path = self._free_path(checkpoint.env_steps)
            draft.rename(path)
            sync_directory(self.directory)
        except OSError as error:
            if has_no_room(error):
                log.warning(
                    "no room on the disk: no checkpoint is written now; earlier ones are untouched",
                    directory=str(self.directory),
                    env_steps=checkpoint.env_steps,
                )
                return None
            raise CheckpointError(
                f"the checkpoint at {checkpoint.env_steps} env steps cannot be written to "
                f"{self.directory}: {error.strerror}. Earlier ones are untouched. "
                "Check the disk, then resume."
            ) from error
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        if is_last:
            for later in self.paths()[self.paths().index(path) + 1 :]:
                remove_folder(later, _TRASH)
        self._trim()
        return path

    def _free_path(self, env_steps: int) -> Path:
        path = self.directory / f"{env_steps:012d}"
        number = 2
        while path.exists():
            path = self.directory / f"{env_steps:012d}-{number}"
            number += 1
        return path

    def _trim(self) -> None:
        # Damaged ones are neither counted nor removed: someone may want to look at them.
        paths = [path for path in self.paths() if path not in self._refused]
        best = [path for path in self._paths_by_score() if path not in self._refused][:1]
        older = [path for path in paths[: -self._keep] if path not in best]
        for path in _superfluous(older, paths[-self._keep :], self._between):
            remove_folder(path, _TRASH)


def _superfluous(older: list[Path], newer: list[Path], between: int) -> list[Path]:
    """Those of ``older`` to remove, from the smallest gap on, until ``between`` are left."""
    staying = [*older, *newer[:1]]
    while len(staying) - 1 > between:
        steps = [_env_steps(path) for path in staying]
        spans = [steps[i + 1] - steps[i - 1] for i in range(1, len(staying) - 1)]
        # The first one is the start of a film of learning, so it is removed last.
        del staying[spans.index(min(spans)) + 1 if spans else 0]
    return [path for path in older if path not in staying]


def _env_steps(path: Path) -> int:
    return int(path.name.partition("-")[0])
