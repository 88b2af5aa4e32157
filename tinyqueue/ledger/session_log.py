"""Reading a run's session log, by its learner at a resume or by anybody while it writes."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tinyqueue.data.session import SessionBatch
from tinyqueue.errors import MessageError, RunDirectoryError
from tinyqueue.ledger import session_rows
from tinyqueue.ledger.ledger_file import SCHEMA
from tinyqueue.ledger.read_only import open_to_read
from tinyqueue.wire.sessions import decode_session

_ROW = "SELECT batch_id, env_steps, crc, headers, body FROM batches WHERE number = ?"
_ENTRY = "SELECT batch_id, env_steps, headers, length(body) FROM batches WHERE number = ?"


@dataclass(frozen=True)
class LogEntry:
    """What a row says without its body.

    Attributes:
        number: Place in the log.
        headers: Of the message.
        body_bytes: As stored, mostly compressed.
    """

    number: int
    batch_id: str
    env_steps: int
    headers: Mapping[str, Any]
    body_bytes: int


@dataclass(frozen=True)
class LoggedSession:
    """A row whose checksum is right."""

    number: int
    batch_id: str
    env_steps: int
    headers: Mapping[str, Any]
    body: bytes

    def decode(self) -> SessionBatch:
        """The session batch; its arrays are read-only.

        Raises:
            MessageError: It was written by another schema.
        """
        return decode_session(self.body, self.headers)


class SessionLog:
    """The log in ``sessions.db``, opened for reading. For one thread.

    Rows that cannot be read are passed over, and named in :attr:`skipped`.

    Args:
        path: The file.

    Raises:
        RunDirectoryError: It is absent, damaged as a whole, or of another schema.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.skipped: dict[int, str] = {}
        """Number → why the row could not be read, of all that this reader has come across."""
        try:
            self._database = open_to_read(path)
        except sqlite3.Error as error:
            raise self._unreadable(str(error)) from error
        try:
            (schema,) = self._database.execute("PRAGMA user_version").fetchone()
            if schema != SCHEMA:
                raise RunDirectoryError(
                    f"{path} is of schema {schema}; this tinyqueue reads {SCHEMA}. "
                    "Read it with the tinyqueue that made it."
                )
            self.owner = session_rows.read_owner(self._database)
            """Experiment and run."""
        except sqlite3.Error as error:
            self._database.close()
            raise self._unreadable(str(error)) from error
        except BaseException:
            self._database.close()
            raise

    @property
    def numbers(self) -> range:
        """Of the rows that are held now. Another process may add and trim meanwhile."""
        try:
            return session_rows.read_numbers(self._database)
        except sqlite3.Error as error:
            raise self._unreadable(str(error)) from error

    def rows(self, start: int = 0) -> Iterator[LoggedSession]:
        """The rows held now whose number is at least ``start``, in order, one in memory at a time.

        Those that are trimmed before they are reached are left out.
        """
        numbers = self.numbers
        for number in range(max(start, numbers.start), numbers.stop):
            row = self.read(number)
            if row is not None:
                yield row

    def batches(self, start: int = 0) -> Iterator[tuple[int, SessionBatch]]:
        """The same as numbers and session batches."""
        for row in self.rows(start):
            try:
                yield row.number, row.decode()
            except MessageError as error:
                self.skipped[row.number] = str(error)

    def read(self, number: int) -> LoggedSession | None:
        """One row; None when it is damaged, see :attr:`skipped`, or not held."""
        found = self._fetch(_ROW, number)
        if found is None:
            return None
        batch_id, env_steps, crc, headers, body = found
        try:
            if session_rows.checksum(headers, body) != crc:
                raise ValueError("its checksum is wrong")
            return LoggedSession(number, batch_id, env_steps, json.loads(headers), body)
        except (ValueError, TypeError, AttributeError) as error:
            self.skipped[number] = str(error)
            return None

    def entries(self, start: int = 0) -> Iterator[LogEntry]:
        """As :meth:`rows`, without the bodies: checksums are not looked at."""
        numbers = self.numbers
        for number in range(max(start, numbers.start), numbers.stop):
            found = self._fetch(_ENTRY, number)
            if found is None:
                continue
            batch_id, env_steps, headers, body_bytes = found
            try:
                yield LogEntry(number, batch_id, env_steps, json.loads(headers), body_bytes)
            except (ValueError, TypeError) as error:
                self.skipped[number] = str(error)

    def find(self, batch_id: str) -> int | None:
        """The number of a batch's row; None when it is not held."""
        return next((e.number for e in self.entries() if e.batch_id == batch_id), None)

    def close(self) -> None:
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _fetch(self, query: str, number: int) -> tuple[Any, ...] | None:
        # One number at a time: a damaged page then costs the rows that it holds and no other.
        try:
            found: tuple[Any, ...] | None = self._database.execute(query, (number,)).fetchone()
        except sqlite3.Error as error:
            self.skipped[number] = str(error)
            return None
        if found is None and number in self.numbers:
            self.skipped[number] = "it is not in the table"
        return found

    def _unreadable(self, why: str) -> RunDirectoryError:
        return RunDirectoryError(
            f"the session log {self._path} cannot be read: {why}. "
            "Give a run directory with a whole sessions.db, or restore it from a copy."
        )
