"""Reads a run's session log: at a resume, or from another process while the learner writes."""

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
from tinyqueue.ledger.ledger_schema import SCHEMA, STAGES
from tinyqueue.ledger.read_only import open_to_read
from tinyqueue.wire.sessions import decode_session

_ROW = "SELECT batch_id, env_steps, crc, headers, body FROM batches WHERE number = ?"
_ENTRY = "SELECT batch_id, env_steps, headers, length(body) FROM batches WHERE number = ?"


@dataclass(frozen=True)
class LogEntry:
    """A row without its body.

    Attributes:
        number: Its number in the log.
        headers: Headers of the message.
        body_bytes: Size as stored, usually compressed.
    """

    number: int
    batch_id: str
    env_steps: int
    headers: Mapping[str, Any]
    body_bytes: int


@dataclass(frozen=True)
class LoggedSession:
    """A row with a correct checksum."""

    number: int
    batch_id: str
    env_steps: int
    headers: Mapping[str, Any]
    body: bytes

    def decode(self) -> SessionBatch:
        """The session batch; its arrays are read-only.

        Raises:
            MessageError: It was written with another schema.
        """
        return decode_session(self.body, self.headers)


class SessionLog:
    """The log in ``sessions.db``, opened for reading, by one thread.

    Unreadable rows are skipped and listed in :attr:`skipped`. Rows whose batch has been withdrawn
    are skipped too.

    Args:
        path: The file.

    Raises:
        RunDirectoryError: It is absent, unreadable as a whole, or has another schema.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.skipped: dict[int, str] = {}
        """Number → why the row could not be read, for all rows that this reader has tried."""
        try:
            self._database = open_to_read(path)
        except sqlite3.Error as error:
            raise self._unreadable(str(error)) from error
        try:
            (schema,) = self._database.execute("PRAGMA user_version").fetchone()
            if schema not in STAGES:
                raise RunDirectoryError(
                    f"{path} has schema {schema}; this tinyqueue reads {SCHEMA}. "
                    "Read it with the tinyqueue that created it."
                )
            self.owner = session_rows.read_owner(self._database)
            """The experiment and run that it belongs to."""
        except sqlite3.Error as error:
            self._database.close()
            raise self._unreadable(str(error)) from error
        except BaseException:
            self._database.close()
            raise

    @property
    def numbers(self) -> range:
        """Numbers of the rows held now. Another process may add and trim rows at any time."""
        try:
            return session_rows.read_numbers(self._database)
        except sqlite3.Error as error:
            raise self._unreadable(str(error)) from error

    def rows(self, start: int = 0) -> Iterator[LoggedSession]:
        """The rows held now with numbers from ``start`` on, in order, one in memory at a time.

        Rows that are trimmed before they are reached are left out.
        """
        numbers = self.numbers
        for number in range(max(start, numbers.start), numbers.stop):
            row = self.read(number)
            if row is not None:
                yield row

    def batches(self, start: int = 0) -> Iterator[tuple[int, SessionBatch]]:
        """As :meth:`rows`, decoded: numbers and session batches."""
        for row in self.rows(start):
            try:
                yield row.number, row.decode()
            except MessageError as error:
                self.skipped[row.number] = str(error)

    def read(self, number: int) -> LoggedSession | None:
        """One row; None if it is not held, withdrawn, or damaged (see :attr:`skipped`)."""
        found = self._fetch(_ROW, number)
        if found is None:
            return None
        batch_id, env_steps, crc, headers, body = found
        try:
            if session_rows.checksum(headers, body) != crc:
                raise ValueError("its checksum is wrong")
            if headers == session_rows.WITHDRAWN:
                return None
            return LoggedSession(number, batch_id, env_steps, json.loads(headers), body)
        except (ValueError, TypeError, AttributeError) as error:
            self.skipped[number] = str(error)
            return None

    def entries(self, start: int = 0) -> Iterator[LogEntry]:
        """As :meth:`rows`, without bodies: checksums are not verified."""
        numbers = self.numbers
        for number in range(max(start, numbers.start), numbers.stop):
            found = self._fetch(_ENTRY, number)
            if found is None:
                continue
            batch_id, env_steps, headers, body_bytes = found
            if headers == session_rows.WITHDRAWN:
                continue
            try:
                yield LogEntry(number, batch_id, env_steps, json.loads(headers), body_bytes)
            except (ValueError, TypeError) as error:
                self.skipped[number] = str(error)

    def find(self, batch_id: str) -> int | None:
        """The number of a batch's row; None if it is not held. Reads the log from its start."""
        return next((e.number for e in self.entries() if e.batch_id == batch_id), None)

    def close(self) -> None:
        """Closes the file."""
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
        # One number at a time: a damaged page then costs only the rows on it.
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
            "Give a run directory with an intact sessions.db, or restore it from a copy."
        )
