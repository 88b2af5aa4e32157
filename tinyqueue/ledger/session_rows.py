"""The session log's table in SQLite: message bodies as received, in the order of acceptance.

Numbers have no gaps, so that a reader knows which rows were on a damaged page.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tinyqueue.ledger.marks import StoredBody

TABLES = """
CREATE TABLE batches (
    number INTEGER PRIMARY KEY, batch_id TEXT NOT NULL, env_steps INTEGER NOT NULL,
    crc INTEGER NOT NULL, headers TEXT NOT NULL, body BLOB NOT NULL
);
CREATE TABLE log (
    experiment TEXT NOT NULL, run TEXT NOT NULL, first INTEGER NOT NULL, next INTEGER NOT NULL
);
"""
"""``body`` comes last: SQLite then reads the other columns without the pages of a large body."""
MOST_BODY_BYTES = 512 * 1024 * 1024
"""SQLite takes a billion bytes; a message has far fewer."""

WITHDRAWN = '{"withdrawn":true}'
"""Headers of a row whose batch must not be read any more."""


class Owner(NamedTuple):
    """The experiment and run whose sessions a file holds."""

    experiment: str
    run: str

    def __str__(self) -> str:
        return f"experiment {self.experiment!r}, run {self.run}"


class NewRow(NamedTuple):
    """A row to append, as SQLite stores it.

    Attributes:
        number: Its number in the log.
        batch_id: Its batch.
        env_steps: Valid env steps in the batch.
        crc: The checksum of headers and body.
        headers: Headers of the message, as JSON.
        body: Body of the message.
    """

    number: int
    batch_id: str
    env_steps: int
    crc: int
    headers: str
    body: bytes

    @classmethod
    def of(cls, number: int, batch_id: str, env_steps: int, stored: StoredBody) -> NewRow | None:
        """The row of a message; None if it cannot be written, so that no transaction fails by it.

        Args:
            number: Its number in the log.
            batch_id: Its batch.
            env_steps: Valid env steps in the batch.
            stored: Body and headers of the message.
        """
        try:
            headers = json.dumps(dict(stored.headers), separators=(",", ":"), allow_nan=False)
            crc = checksum(headers, stored.body)
        except (TypeError, ValueError, RecursionError):
            return None
        if len(stored.body) > MOST_BODY_BYTES or not 0 <= env_steps < 1 << 63:
            return None
        return cls(number, batch_id, env_steps, crc, headers, stored.body)


@dataclass(frozen=True)
class LogChange:
    """What one transaction does to the log.

    Attributes:
        rows: Rows to append, numbered from the current ``next`` on.
        first: The new lowest number; None: it does not change.
        withdrawn: Numbers of rows that lose their bodies, and get the headers :data:`WITHDRAWN`.
    """

    rows: Sequence[NewRow] = ()
    first: int | None = None
    withdrawn: Sequence[int] = ()


def create(database: sqlite3.Connection, owner: Owner) -> None:
    """Creates the tables, inside the caller's transaction."""
    for statement in filter(str.strip, TABLES.split(";")):
        database.execute(statement)
    database.execute("INSERT INTO log VALUES (?, ?, 1, 1)", owner)


def read_owner(database: sqlite3.Connection) -> Owner:
    """The owner of the log."""
    return Owner(*database.execute("SELECT experiment, run FROM log").fetchone())


def read_numbers(database: sqlite3.Connection) -> range:
    """The numbers of the rows that the log holds."""
    return range(*database.execute("SELECT first, next FROM log").fetchone())


def change(database: sqlite3.Connection, wanted: LogChange) -> None:
    """Appends and trims, inside the caller's transaction."""
    run = database.execute
    if wanted.rows:
        database.executemany("INSERT INTO batches VALUES (?, ?, ?, ?, ?, ?)", wanted.rows)
        run("UPDATE log SET next = ?", (wanted.rows[-1].number + 1,))
    for number in wanted.withdrawn:
        # The row stays, since a number without one would look like a damaged page.
        emptied = (WITHDRAWN, checksum(WITHDRAWN, b""), number)
        run("UPDATE batches SET headers = ?, crc = ?, body = x'' WHERE number = ?", emptied)
    if wanted.first is not None:
        run("DELETE FROM batches WHERE number < ?", (wanted.first,))
        run("UPDATE log SET first = ?", (wanted.first,))


def mend(database: sqlite3.Connection, source: sqlite3.Connection) -> bool:
    """If any page is damaged, moves the rows that SQLite can still read to a new table.

    Otherwise a trim would hit the damaged page one day and end the run. Needs space for a second
    copy of the log.

    Args:
        database: A connection outside a transaction.
        source: Another connection to the same file, for reading: a connection that hits a damaged
            page while it writes cannot continue its transaction.

    Returns:
        Whether any page was damaged.
    """
    run = database.execute
    if _is_whole(database):
        return False
    run("BEGIN IMMEDIATE")
    run(TABLES.partition(";")[0].replace("batches", "mended"))
    for number in read_numbers(database):
        try:
            row = source.execute("SELECT * FROM batches WHERE number = ?", (number,)).fetchone()
        except sqlite3.DatabaseError:
            continue
        if row is not None:
            run("INSERT INTO mended VALUES (?, ?, ?, ?, ?, ?)", row)
    # DROP TABLE would read the damaged pages, so the old table is only unlinked.
    run("PRAGMA writable_schema = ON")
    (root,) = run("SELECT rootpage FROM sqlite_master WHERE name = 'mended'").fetchone()
    run("UPDATE sqlite_master SET rootpage = ? WHERE name = 'batches'", (root,))
    run("DELETE FROM sqlite_master WHERE name = 'mended'")
    (version,) = run("PRAGMA schema_version").fetchone()
    run(f"PRAGMA schema_version = {version + 1}")
    run("COMMIT")
    run("PRAGMA writable_schema = RESET")
    run("VACUUM")
    return True


def _is_whole(database: sqlite3.Connection) -> bool:
    try:
        found: tuple[str] = database.execute("PRAGMA quick_check(batches)").fetchone()
    except sqlite3.DatabaseError:
        return False
    return found == ("ok",)


def checksum(headers: str, body: bytes) -> int:
    """CRC-32 of a row: SQLite itself does not notice a changed byte in a body."""
    return zlib.crc32(body, zlib.crc32(headers.encode()))
