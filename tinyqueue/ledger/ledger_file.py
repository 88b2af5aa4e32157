"""``sessions.db``: the ledger's tables and the session log in one SQLite file.

This module does not know what the rows mean.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import NamedTuple

from tinyqueue.errors import DiskFullError, RunDirectoryError
from tinyqueue.ledger import ledger_schema, session_rows
from tinyqueue.ledger.ledger_schema import SCHEMA
from tinyqueue.ledger.read_only import open_to_read
from tinyqueue.ledger.session_rows import LogChange, Owner
from tinyqueue.ledger.stage_count import StageCount
from tinyqueue.ledger.tally import Tally
from tinyqueue.run.durable_files import sync_directory

_PAGE_BYTES = 1024
"""A commit of marks changes two or three small rows. It takes 145 µs with pages of 1 kB (p99
0.4 ms), 170 µs with SQLite's 4 kB (p99 4 ms): measured on a disk whose fsync takes 105 µs."""
_PAGE_BYTES_WITH_BODIES = 16384
"""Bodies of 100 kB in groups of 8: 320 MB/s, and 225 MB/s while trimming as many. With pages of
1 kB: 120 and 47 MB/s; 4 kB: 247 and 196; 64 kB: 245 and 200."""
_LITTLE_ROOM_BYTES = 1 << 20
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)
"""``SQLITE_ERROR``: a table or column of the schema is missing, or a text is not UTF-8."""


class ReasonKey(NamedTuple):
    """Batches with this fate for this reason are counted together."""

    fate: str
    reason: str


@dataclass(frozen=True)
class LedgerRows:
    """Rows to write together, or the content of the file.

    Attributes:
        stages: Stage id → its count, from the one used the longest time ago to the newest.
        logins: Account → the batches counted without their stage.
        reasons: Numbers of batches set aside or dropped.
        again: Numbers of ``duplicates`` and ``late_drops``.
        removed: Stages that are counted without their rows from now on.
        before: The counts that the file holds now of ``stages`` and ``removed``; the gaps that
            differ are written.
        log: The change of the session log.
    """

    stages: Mapping[str, StageCount]
    logins: Mapping[str, Tally]
    reasons: Mapping[ReasonKey, int]
    again: Mapping[str, int]
    removed: Sequence[str] = ()
    before: Mapping[str, StageCount] = field(default_factory=dict)
    log: LogChange = field(default_factory=LogChange)


class LedgerFile:
    """One SQLite file in WAL mode that waits for the disk at every commit.

    Args:
        path: The file.
        owner: Its owner; the file is created if absent. None: any owner; the file must exist, and
            is only read.
        keeps_bodies: Lay out a new file for large rows.

    Raises:
        DiskFullError: There is no space to create it, or for the files SQLite keeps beside it.
        RunDirectoryError: It is damaged, cannot be opened, or belongs to another schema,
            experiment or run.
    """

    def __init__(self, path: Path, owner: Owner | None = None, keeps_bodies: bool = False) -> None:
        self._path = path
        try:
            self._database = (
                sqlite3.connect(path, isolation_level=None, check_same_thread=False)
                if owner is not None
                else open_to_read(path)
            )
        except sqlite3.Error as error:
            raise self._unopened(error) from error
        try:
            self._prepare(owner, _PAGE_BYTES_WITH_BODIES if keeps_bodies else _PAGE_BYTES)
            self.owner = session_rows.read_owner(self._database)
            if owner not in (None, self.owner):
                raise RunDirectoryError(
                    f"{path} holds sessions of {self.owner}; this is {owner}. "
                    "Restore the run's own file, or start a new run."
                )
        except sqlite3.Error as error:
            self._database.close()
            raise self._unopened(error) from error
        except BaseException:
            self._database.close()
            raise

    def numbers(self) -> range:
        """The numbers of the session log's rows.

        Raises:
            DiskFullError, RunDirectoryError: As in :meth:`read`.
        """
        try:
            return session_rows.read_numbers(self._database)
        except sqlite3.Error as error:
            raise self._unopened(error) from error

    def read(self) -> LedgerRows:
        """The whole content except the session log; gaps are in their stages.

        Raises:
            DiskFullError: There is no space for the files that SQLite keeps beside this one.
            RunDirectoryError: The file cannot be read, or the counts of a stage do not balance.
        """
        query = self._database.execute
        try:
            # One snapshot: `tinyqueue info RUN` reads while a learner writes.
            query("BEGIN")
            (schema,) = query("PRAGMA user_version").fetchone()
            rows = query(ledger_schema.STAGES[schema])
            stages = {row[0]: ledger_schema.stage_of(row) for row in rows}
            for stage, first, last in query("SELECT * FROM gaps ORDER BY stage, first"):
                stages[stage].gaps.append((first, last))
                stages[stage].missing += last - first + 1
            logins = {
                login: Tally(*counts) for login, *counts in query(ledger_schema.LOGINS[schema])
            }
            reasons = {ReasonKey(*key): n for *key, n in query("SELECT * FROM reasons")}
            again = dict(query("SELECT * FROM again"))
            query("COMMIT")
        except sqlite3.Error as error:
            raise self._unopened(error) from error
        except KeyError as error:
            raise self._damaged(f"there are gaps in an unknown stage {error}") from error
        wrong = [stage.stage for stage in stages.values() if stage.unbalanced]
        if wrong:
            raise self._damaged(f"the counts of stage {wrong[0]} do not balance")
        return LedgerRows(stages, logins, reasons, again)

    def write(self, rows: LedgerRows) -> None:
        """Writes the rows in one transaction; they are on disk before the return.

        Raises:
            DiskFullError: The disk is full. Nothing has changed, and the same rows may be written
                later.
            RunDirectoryError: The disk failed. Nothing has changed.
        """
        run, many = self._database.execute, self._database.executemany
        try:
            run("BEGIN IMMEDIATE")
            ledger_schema.write_stages(self._database, rows.stages, rows.before, rows.removed)
            logins = ((login, *astuple(tally)) for login, tally in rows.logins.items())
            many("INSERT OR REPLACE INTO logins VALUES (?, ?, ?, ?, ?, ?)", logins)
            reasons = ((*reason, batches) for reason, batches in rows.reasons.items())
            many("INSERT OR REPLACE INTO reasons VALUES (?, ?, ?)", reasons)
            many("INSERT OR REPLACE INTO again VALUES (?, ?)", rows.again.items())
            session_rows.change(self._database, rows.log)
            run("COMMIT")
        except BaseException as error:
            if self._database.in_transaction:
                self._database.rollback()
            if isinstance(error, sqlite3.Error):
                raise self._refusal(error) from error
            raise

    def mend_log(self) -> bool:
        """Removes damaged pages from the session log; returns whether there were any.

        Raises:
            DiskFullError: There is no space for a copy of the log. Nothing has changed.
            RunDirectoryError: The disk failed. Nothing has changed.
        """
        try:
            with contextlib.closing(sqlite3.connect(self._path, isolation_level=None)) as source:
                return session_rows.mend(self._database, source)
        except sqlite3.Error as error:
            raise self._refusal(error) from error
        finally:
            if self._database.in_transaction:
                self._database.rollback()

    def close(self) -> None:
        """Closes the file."""
        self._database.close()

    def _prepare(self, owner: Owner | None, page_bytes: int) -> None:
        run = self._database.execute
        if owner is not None:
            run(f"PRAGMA page_size = {page_bytes}")
            run("PRAGMA journal_mode = WAL")
            run("PRAGMA synchronous = FULL")
        (schema,) = run("PRAGMA user_version").fetchone()
        (tables,) = run("SELECT count(*) FROM sqlite_master").fetchone()
        if tables == 0 and owner is not None:
            run("BEGIN IMMEDIATE")
            ledger_schema.create(self._database)
            session_rows.create(self._database, owner)
            run("COMMIT")
            sync_directory(self._path.parent)
        elif schema not in ledger_schema.STAGES:
            raise RunDirectoryError(
                f"the ledger {self._path} has schema {schema}; this tinyqueue reads {SCHEMA}. "
                "Resume the run with the tinyqueue that created it, or start a new run."
            )
        else:
            self._check(schema)
            if schema != SCHEMA and owner == session_rows.read_owner(self._database):
                run("BEGIN IMMEDIATE")
                ledger_schema.migrate(self._database)
                run("COMMIT")

    def _check(self, schema: int) -> None:
        # Not the bodies: a damaged one affects only itself, and they may be many gigabytes.
        for table in ("log", *ledger_schema.TABLES_OF[schema]):
            (verdict,) = self._database.execute(f"PRAGMA quick_check({table})").fetchone()
            if verdict != "ok":
                raise self._damaged(verdict)

    def _refusal(self, error: sqlite3.Error) -> RunDirectoryError | DiskFullError:
        nothing = f"the ledger {self._path} cannot be written: {error}. Nothing was recorded and"
        if self._has_no_room(error):
            return DiskFullError(
                f"{nothing} nothing is acked until there is room. Free disk space."
            )
        return RunDirectoryError(f"{nothing} nothing may be acked. Check the disk, then resume.")

    def _unopened(self, error: sqlite3.Error) -> RunDirectoryError | DiskFullError:
        if self._has_no_room(error):
            return DiskFullError(
                f"the ledger {self._path} cannot be opened because the disk is full: {error}. "
                "Free disk space, then start again."
            )
        if _code(error) in _DAMAGE:
            return self._damaged(str(error))
        return RunDirectoryError(
            f"the ledger {self._path} cannot be opened: {error}. Correct the path, its "
            "permissions or the disk, or stop the program that uses the file; then start again."
        )

    def _has_no_room(self, error: sqlite3.Error) -> bool:
        code = _code(error)
        if code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN):
            # SQLite reports these too if the disk is full when it creates or grows other files.
            try:
                return shutil.disk_usage(self._path.parent).free < _LITTLE_ROOM_BYTES
            except OSError:
                return False
        return code == sqlite3.SQLITE_FULL

    def _damaged(self, why: str) -> RunDirectoryError:
        return RunDirectoryError(
            f"the ledger {self._path} is damaged: {why}. Restore it from a copy, or start a new "
            "run: without it batches could be accepted twice."
        )


def _code(error: sqlite3.Error) -> int:
    """SQLite's primary error code; SQLITE_ERROR for errors of Python's own module."""
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    return code & 0xFF
