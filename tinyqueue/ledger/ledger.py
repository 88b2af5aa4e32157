"""The ledger: every session batch has exactly one fate, whatever crashes.

A batch may arrive twice (at-least-once delivery), late, or after its player gave it up because a
confirm was lost. The first of these that the ledger sees decides; the others are counted
separately, so that the totals balance after every step.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Self

from tinyqueue.data.identity import parse_batch_id
from tinyqueue.ledger.ledger_file import LedgerFile, LedgerRows, ReasonKey
from tinyqueue.ledger.ledger_step import LedgerStep
from tinyqueue.ledger.marks import Count, Mark, Recorded
from tinyqueue.ledger.session_rows import LogChange, Owner
from tinyqueue.ledger.stage_count import StageCount

_MOST_SAMPLES = 1_000
_TRIMMED_AT_ONCE = 64
"""Rows that a transaction may delete beyond the number it adds: 64 of 100 kB take some ms."""


class Ledger:
    """The marks of one run, on disk and mirrored in memory, and the writer of its session log.

    Thread-safe.

    Args:
        path: The SQLite file, created if absent. One process at a time; the run directory's lock
            ensures that.
        experiment, run: The owner of the file.
        keeps_bodies: Whether every batch comes with its body, which is kept until it is trimmed; a
            new file is then laid out for large rows. Otherwise bodies are samples for inspection,
            and the newest 1,000 are kept.

    Raises:
        DiskFullError: There is no space to create or open it.
        RunDirectoryError: The file is damaged, cannot be opened, or belongs to another schema,
            experiment or run.
    """

    def __init__(
        self, path: Path, *, experiment: str, run: str, keeps_bodies: bool = False
    ) -> None:
        self._file = LedgerFile(path, Owner(experiment, run), keeps_bodies)
        try:
            rows = self._file.read()
            self._numbers = self._file.numbers()
        except BaseException:
            self._file.close()
            raise
        self._mutex = Lock()
        self._stages = dict(rows.stages)
        self._reasons = dict(rows.reasons)
        self._again = {"duplicates": 0, "late_drops": 0, **rows.again}
        self._env_steps = sum(stage.env_steps for stage in self._stages.values())
        self._trimmed_to = self._numbers.start
        self._keeps_bodies = keeps_bodies

    @property
    def env_steps(self) -> int:
        """Valid env steps accepted since the run began: the run's clock."""
        return self._env_steps

    def knows(self, batch_id: str) -> bool:
        """Whether the batch already has its fate, so that it must not be used (again)."""
        place = parse_batch_id(batch_id)
        if place is None:
            return False
        # record() replaces stages and never changes them: no lock is needed.
        stage = self._stages.get(place[0])
        return stage is not None and stage.is_settled(place[1])

    def record(self, marks: Iterable[Mark]) -> list[Recorded]:
        """Records fates, and appends bodies to the session log, in one transaction.

        They are on disk before the return.

        Returns:
            What became of each mark, in order.

        Raises:
            DiskFullError: The disk is full. Nothing has changed, and the same marks may be
                recorded later.
            RunDirectoryError: The disk failed. Nothing has changed.
            ValueError: A mark accepts a batch, or announces drops, without a readable batch id.
        """
        with self._mutex:
            step = LedgerStep(self._stages, self._reasons, self._again, self._numbers.stop)
            recorded = [step.apply(mark) for mark in marks]
            if recorded:
                first = self._first_to_stay(len(step.bodies))
                self._file.write(
                    LedgerRows(
                        step.stages,
                        step.gap_changes,
                        step.reasons,
                        step.again,
                        LogChange(step.bodies, first if first > self._numbers.start else None),
                    )
                )
                self._stages.update(step.stages)
                self._reasons.update(step.reasons)
                self._again.update(step.again)
                self._env_steps += step.env_steps
                self._numbers = range(first, self._numbers.stop + len(step.bodies))
            return recorded

    def trim(self, before: int) -> None:
        """Releases the session log's rows with numbers below ``before``. Marks are kept.

        Costs nothing here: rows are deleted a few at a time, together with the next marks.
        """
        self._trimmed_to = max(self._trimmed_to, before)

    def mend_log(self) -> bool:
        """Removes damaged pages from the session log, after a reader has skipped rows.

        Takes as long as reading the whole log. Readable rows keep their numbers.

        Returns:
            Whether any page was damaged.

        Raises:
            DiskFullError, RunDirectoryError: As in :meth:`record`.
        """
        with self._mutex:
            return self._file.mend_log()

    def count(self) -> Count:
        """All batches by fate. Takes 1 ms per 5,000 stages."""
        with self._mutex:
            stages = list(self._stages.values())
            reasons = dict(self._reasons)
            again = dict(self._again)
        return _count(stages, reasons, again)

    def _first_to_stay(self, added: int) -> int:
        start, stop = self._numbers.start, self._numbers.stop
        if not self._keeps_bodies:
            self.trim(stop + added - _MOST_SAMPLES)
        return max(start, min(self._trimmed_to, start + added + _TRIMMED_AT_ONCE, stop))

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def read_count(path: Path) -> Count:
    """The count in a run's ledger, even while a learner has it open.

    Args:
        path: ``sessions.db``.

    Raises:
        DiskFullError: There is no space for the files that SQLite keeps beside it.
        RunDirectoryError: It is damaged, has another schema, or cannot be opened.
    """
    file = LedgerFile(path)
    try:
        rows = file.read()
    finally:
        file.close()
    return _count(list(rows.stages.values()), rows.reasons, rows.again)


def _count(
    stages: Sequence[StageCount], reasons: Mapping[ReasonKey, int], again: Mapping[str, int]
) -> Count:
    return Count(
        attempted=sum(stage.next_n for stage in stages),
        accepted=sum(stage.accepted for stage in stages),
        set_aside={key.reason: n for key, n in reasons.items() if key.fate == "set aside"},
        dropped={key.reason: n for key, n in reasons.items() if key.fate == "dropped"},
        missing=sum(stage.missing for stage in stages),
        duplicates=again.get("duplicates", 0),
        late_drops=again.get("late_drops", 0),
        env_steps=sum(stage.env_steps for stage in stages),
    )
