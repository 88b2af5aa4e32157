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

import structlog

from tinyqueue.data.identity import parse_batch_id
from tinyqueue.errors import DiskFullError
from tinyqueue.ledger.claims import Claims
from tinyqueue.ledger.ledger_file import LedgerFile, LedgerRows, ReasonKey
from tinyqueue.ledger.ledger_step import LedgerState, LedgerStep, belongs
from tinyqueue.ledger.marks import Count, Mark, Recorded
from tinyqueue.ledger.session_rows import LogChange, Owner
from tinyqueue.ledger.stages_of_logins import StagesOfLogins
from tinyqueue.ledger.tally import Tally

log = structlog.get_logger(__name__)

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
        self._state = LedgerState(
            dict(rows.stages),
            dict(rows.logins),
            dict(rows.reasons),
            {"duplicates": 0, "late_drops": 0, "withdrawn": 0, **rows.again},
        )
        self._total = total(rows)
        self._of_logins = StagesOfLogins(self._state)
        self._used = 1 + max((stage.used for stage in rows.stages.values()), default=0)
        self._claims = Claims()
        self._trimmed_to = self._numbers.start
        self._keeps_bodies = keeps_bodies

    @property
    def env_steps(self) -> int:
        """Valid env steps accepted since the run began: the run's clock."""
        return self._total.env_steps

    def knows(self, batch_id: str, login: str = "") -> bool:
        """Whether the batch already has its fate, so that it must not be used (again).

        Args:
            batch_id: The batch.
            login: Its sender. What was set aside before its stage was known is known by login.
        """
        place = parse_batch_id(batch_id)
        if place is None:
            return False
        # record() replaces stages and never changes them: no lock is needed.
        stage = self._state.stages.get(place[0])
        if stage is None:
            return self._state.refused.knows(login, *place)
        return stage.is_settled(place[1])

    def may_use(self, batch_id: str, login: str) -> bool:
        """Whether the batch's stage is this login's, or nobody's yet."""
        place = parse_batch_id(batch_id)
        if place is None:
            return True
        stage = self._state.stages.get(place[0])
        owner = self._claims.login(place[0]) if stage is None else stage.login
        return belongs(owner, login)

    def claim(self, batch_id: str, login: str) -> None:
        """Keeps a new stage for this login until the first of its batches is recorded.

        Call it for every message whose sender is known, also if it is set aside: whoever learns
        of a stage from its first messages then cannot take it. For the thread that records.
        """
        place = parse_batch_id(batch_id)
        if place is not None and place[0] not in self._state.stages:
            self._claims.claim(place[0], login, self._state.account(login))

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
            step = LedgerStep(
                self._state, self._numbers.stop, self._used, needs_bodies=self._keeps_bodies
            )
            recorded = [step.apply(mark) for mark in marks]
            if recorded:
                self._commit(step)
            return recorded

    def _commit(self, step: LedgerStep) -> None:
        state, first = self._state, self._first_to_stay(len(step.bodies))
        removed = self._of_logins.surplus(step)
        for each in removed:
            step.add_to_login(each.login, each.tally)
        changed = [*step.stages, *(each.stage for each in removed)]
        self._file.write(
            LedgerRows(
                step.stages,
                step.logins,
                step.reasons,
                step.again,
                [each.stage for each in removed],
                {name: state.stages[name] for name in changed if name in state.stages},
                LogChange(step.bodies, first if first > self._numbers.start else None),
            )
        )
        self._of_logins.use(step.stages.values())
        self._of_logins.remove(removed)
        state.logins.update(step.logins)
        state.reasons.update(step.reasons)
        state.again.update(step.again)
        for login, stage, n in step.refused:
            if state.account(login) == login:
                state.refused.note(login, stage, n)
        for name in step.stages:
            self._claims.release(name)
        self._total += step.added
        self._used = step.used
        self._numbers = range(first, self._numbers.stop + len(step.bodies))

    def trim(self, before: int) -> None:
        """Releases the session log's rows with numbers below ``before``. Marks are kept.

        Costs nothing here: rows are deleted a few at a time, together with the next marks.
        """
        self._trimmed_to = max(self._trimmed_to, before)

    def withdraw(self, numbers: Sequence[int]) -> None:
        """Empties rows of the session log whose batches must not be trained on again.

        The batches stay accepted, and are counted as withdrawn. A full disk is only logged: the
        rows are found again after the next restart.

        Raises:
            RunDirectoryError: The disk failed. Nothing has changed.
        """
        with self._mutex:
            held = sorted({number for number in numbers if number in self._numbers})
            again = {"withdrawn": self._state.again["withdrawn"] + len(held)}
            try:
                self._file.write(LedgerRows({}, {}, {}, again, log=LogChange(withdrawn=held)))
            except DiskFullError as error:
                log.warning("batches stay in the session log for now", error=str(error))
                return
            self._state.again.update(again)

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
        """All batches by fate. Takes as long however many stages there are."""
        with self._mutex:
            return _count(self._total, self._state.reasons, self._state.again)

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
    return _count(total(rows), rows.reasons, rows.again)


def total(rows: LedgerRows) -> Tally:
    """All batches of a ledger, added up."""
    tallies = [*rows.logins.values(), *(stage.tally for stage in rows.stages.values())]
    return sum(tallies, Tally())


def _count(tally: Tally, reasons: Mapping[ReasonKey, int], again: Mapping[str, int]) -> Count:
    return Count(
        attempted=tally.attempted,
        accepted=tally.accepted,
        set_aside={key.reason: n for key, n in reasons.items() if key.fate == "set aside"},
        dropped={key.reason: n for key, n in reasons.items() if key.fate == "dropped"},
        missing=tally.missing,
        duplicates=again.get("duplicates", 0),
        late_drops=again.get("late_drops", 0),
        withdrawn=again.get("withdrawn", 0),
        env_steps=tally.env_steps,
    )
