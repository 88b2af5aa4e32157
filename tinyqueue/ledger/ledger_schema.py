"""The ledger's tables in SQLite, and how those of an earlier version become them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from tinyqueue.ledger.stage_count import StageCount

SCHEMA = 3
_TABLES = """
CREATE TABLE stages (
    stage TEXT PRIMARY KEY, next_n INTEGER NOT NULL, accepted INTEGER NOT NULL,
    set_aside INTEGER NOT NULL, dropped INTEGER NOT NULL, env_steps INTEGER NOT NULL,
    login TEXT NOT NULL DEFAULT '', used INTEGER NOT NULL DEFAULT 0,
    closed INTEGER NOT NULL DEFAULT 0, skipped INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE gaps (
    stage TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
    PRIMARY KEY (stage, first)
) WITHOUT ROWID;
CREATE TABLE reasons (
    fate TEXT NOT NULL, reason TEXT NOT NULL, batches INTEGER NOT NULL,
    PRIMARY KEY (fate, reason)
) WITHOUT ROWID;
CREATE TABLE again (kind TEXT PRIMARY KEY, messages INTEGER NOT NULL) WITHOUT ROWID;
"""
_LOGINS = """
CREATE TABLE logins (
    login TEXT PRIMARY KEY, accepted INTEGER NOT NULL, set_aside INTEGER NOT NULL,
    dropped INTEGER NOT NULL, missing INTEGER NOT NULL, env_steps INTEGER NOT NULL
) WITHOUT ROWID;
"""
"""Batches counted without their stage: messages without an id, and stages without a row."""
_ADDED = (
    "login TEXT NOT NULL DEFAULT ''",
    *(f"{name} INTEGER NOT NULL DEFAULT 0" for name in ("used", "closed", "skipped")),
)

_COUNTS = "next_n, accepted, set_aside, dropped, env_steps"
STAGES: Mapping[int, str] = MappingProxyType(
    {
        # Schema 2 counted messages without an id in a stage without an id.
        2: f"SELECT stage, {_COUNTS}, '', 0, 0, 0 FROM stages WHERE stage != ''",
        SCHEMA: f"SELECT stage, {_COUNTS}, login, used, closed, skipped FROM stages ORDER BY used",
    }
)
"""Schema → the query for :func:`stage_of`."""
_WITHOUT_ID = "SELECT '', accepted, set_aside, dropped, 0, env_steps FROM stages WHERE stage = ''"
LOGINS: Mapping[int, str] = MappingProxyType({2: _WITHOUT_ID, SCHEMA: "SELECT * FROM logins"})
"""Schema → the query for accounts and their tallies."""
TABLES_OF: Mapping[int, tuple[str, ...]] = MappingProxyType(
    {
        2: ("stages", "gaps", "reasons", "again"),
        SCHEMA: ("stages", "gaps", "reasons", "again", "logins"),
    }
)


def create(database: sqlite3.Connection) -> None:
    """Creates the tables, inside the caller's transaction."""
    _run_all(database, _TABLES + _LOGINS)
    database.execute(f"PRAGMA user_version = {SCHEMA}")


def migrate(database: sqlite3.Connection) -> None:
    """Makes the tables of schema 2 those of this one, inside the caller's transaction."""
    for column in _ADDED:
        database.execute(f"ALTER TABLE stages ADD COLUMN {column}")
    _run_all(database, _LOGINS)
    database.execute(f"INSERT INTO logins {_WITHOUT_ID}")
    database.execute("DELETE FROM stages WHERE stage = ''")
    database.execute(f"PRAGMA user_version = {SCHEMA}")


def stage_of(row: Sequence[Any]) -> StageCount:
    """The count in a row of :data:`STAGES`, without its gaps."""
    stage, next_n, accepted, set_aside, dropped, env_steps, login, used, closed, skipped = row
    return StageCount(
        stage,
        login,
        used,
        next_n,
        closed=closed,
        skipped=skipped,
        missing=closed,
        accepted=accepted,
        set_aside=set_aside,
        dropped=dropped,
        env_steps=env_steps,
    )


def write_stages(
    database: sqlite3.Connection,
    stages: Mapping[str, StageCount],
    before: Mapping[str, StageCount],
    removed: Sequence[str],
) -> None:
    """Writes stages and the gaps that have changed, in a few statements each.

    Args:
        database: In a transaction.
        stages: Stage id → its count.
        before: The counts that the tables hold of ``stages`` and ``removed``.
        removed: Stages whose rows are to be deleted.
    """
    many = database.executemany
    many(
        "INSERT OR REPLACE INTO stages VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        map(_row_of, stages.values()),
    )
    gone: list[tuple[str, int]] = []
    come: list[tuple[str, int, int]] = []
    for name, stage in stages.items():
        old = set(before[name].gaps) if name in before else set()
        new = set(stage.gaps)
        gone += [(name, first) for first, _ in old - new]
        come += [(name, *gap) for gap in new - old]
    gone += [(name, first) for name in removed for first, _ in before[name].gaps]
    many("DELETE FROM gaps WHERE stage = ? AND first = ?", gone)
    many("INSERT INTO gaps VALUES (?, ?, ?)", come)
    many("DELETE FROM stages WHERE stage = ?", ((name,) for name in removed))


def _row_of(s: StageCount) -> tuple[str | int, ...]:
    counts = s.next_n, s.accepted, s.set_aside, s.dropped, s.env_steps
    return s.stage, *counts, s.login, s.used, s.closed, s.skipped


def _run_all(database: sqlite3.Connection, statements: str) -> None:
    parts: Iterable[str] = filter(str.strip, statements.split(";"))
    for statement in parts:
        database.execute(statement)
