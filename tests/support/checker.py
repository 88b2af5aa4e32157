"""The one checker: what players say they did, held against what the learner says it took.

The players' history is their own journal, written at every attempt and every confirm. The
learner's is its ledger, read from SQLite without the learner's code, and the trainer's clock,
which counts what was trained on and not what was marked.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis


@dataclass(frozen=True)
class History:
    """Batch ids by what their players know of them."""

    attempted: frozenset[str]
    confirmed: frozenset[str]
    dropped: frozenset[str]

    @property
    def unknown(self) -> frozenset[str]:
        """No answer came: killed, cut off, or still waiting for room."""
        return self.attempted - self.confirmed - self.dropped


def read_history(journal: Path) -> History:
    """The journals of all players, killed ones included: their last line may be torn."""
    events: dict[str, set[str]] = {"attempted": set(), "confirmed": set(), "dropped": set()}
    for file in journal.glob("*.jsonl"):
        for line in file.read_text().splitlines(keepends=True):
            if line.endswith("\n"):
                entry = json.loads(line)
                events[entry["event"]].add(entry["batch_id"])
    return History(**{event: frozenset(ids) for event, ids in events.items()})


@dataclass(frozen=True)
class Books:
    """The ledger of one run.

    Attributes:
        settled: Ids that have a fate: accepted, set aside or dropped.
        by_fate: How many the ledger says had each fate.
        missing: How many it says have none.
        env_steps: Of what was accepted.
        duplicates: Messages that came again.
    """

    settled: frozenset[str]
    by_fate: dict[str, int]
    missing: int
    env_steps: int
    duplicates: int


def read_books(run: Path, without: str = "") -> Books:
    """Reads ``sessions.db``, also while its learner writes or after it was killed.

    Args:
        run: The run directory.
        without: How stages begin whose ids are not listed, since no player's journal has them;
            they count in all else.
    """
    with contextlib.closing(sqlite3.connect(f"file:{run / 'sessions.db'}?mode=ro", uri=True)) as db:
        db.execute("BEGIN")
        stages = db.execute(
            "SELECT stage, next_n, accepted, set_aside, dropped, env_steps FROM stages"
        ).fetchall()
        gaps = db.execute("SELECT stage, first, last FROM gaps").fetchall()
        again = dict(db.execute("SELECT kind, messages FROM again"))
        counted = [row[2:] for row in stages]
        if _has_logins(db):
            # Messages without an id, and stages that are counted without a row.
            counted += db.execute("SELECT accepted, set_aside, dropped, env_steps FROM logins")
    if without:
        gaps = [gap for gap in gaps if not gap[0].startswith(without)]
    named = [row for row in stages if row[0] and not (without and row[0].startswith(without))]
    missing = {f"{stage}:{n}" for stage, first, last in gaps for n in range(first, last + 1)}
    reached = {f"{stage}:{n}" for stage, next_n, *_ in named for n in range(next_n)}
    return Books(
        settled=frozenset(reached - missing),
        by_fate={
            "accepted": sum(row[0] for row in counted),
            "set aside": sum(row[1] for row in counted),
            "dropped": sum(row[2] for row in counted),
        },
        missing=len(missing),
        env_steps=sum(row[3] for row in counted),
        duplicates=again.get("duplicates", 0),
    )


def read_env_steps(run: Path) -> int:
    """Env steps of what was accepted, in a query that takes no time."""
    with contextlib.closing(sqlite3.connect(f"file:{run / 'sessions.db'}?mode=ro", uri=True)) as db:
        db.execute("BEGIN")
        tables = ("stages", "logins") if _has_logins(db) else ("stages",)
        sums = [db.execute(f"SELECT total(env_steps) FROM {table}") for table in tables]
        return sum(int(found.fetchone()[0]) for found in sums)


def _has_logins(db: sqlite3.Connection) -> bool:
    return bool(db.execute("SELECT 1 FROM sqlite_master WHERE name = 'logins'").fetchall())


@dataclass(frozen=True)
class Verdict:
    """What became of a run's batches. :meth:`must_balance` is the promise.

    Attributes:
        lost: Confirmed to their player, and without any fate.
        invented: With a fate, though no player attempted them.
        trained_twice_steps: Env steps that the trainer's clock counts beyond the ledger's: a
            batch that was trained on again after it was accepted shows here. None before the
            learner has ended in order.
        recovered: Their player had no answer, and they arrived.
    """

    history: History
    books: Books
    lost: frozenset[str]
    invented: frozenset[str]
    trained_twice_steps: int | None
    recovered: int

    def must_balance(self) -> None:
        """Raises AssertionError unless every promise was kept."""
        said = (
            f"{len(self.history.attempted)} attempted, {len(self.history.confirmed)} confirmed, "
            f"{len(self.history.dropped)} given up, {self.recovered} recovered; "
            f"{self.books.by_fate}, {self.books.missing} missing, "
            f"{self.books.duplicates} duplicates"
        )
        assert not self.lost, f"{len(self.lost)} lost, such as {min(self.lost)}: {said}"
        assert not self.invented, f"{len(self.invented)} never attempted: {said}"
        assert self.trained_twice_steps == 0, f"{self.trained_twice_steps} env steps: {said}"
        assert sum(self.books.by_fate.values()) >= len(self.books.settled), said
        assert self.books.by_fate["accepted"] > 0, said


def judge(journal: Path, run: Path, others: frozenset[str] = frozenset()) -> Verdict:
    """Holds the journals against the ledger.

    Args:
        journal: The folder of the players' journals; of this run's players only.
        run: The run directory.
        others: Ids that the test itself published.
    """
    # In this order: what is confirmed after the books were read would look lost.
    history = read_history(journal)
    books = read_books(run)
    return Verdict(
        history=history,
        books=books,
        lost=history.confirmed - books.settled,
        # Read again: what was attempted in between is in the books and not in the history.
        invented=books.settled - read_history(journal).attempted - others,
        trained_twice_steps=clock(run) - books.env_steps,
        recovered=len(history.unknown & books.settled),
    )


def clock(run: Path) -> int:
    """Env steps by the trainer's clock, as the learner last wrote them; at its end, the truth."""
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return int(json.loads(lines[-1])["env_steps"])


class VersionLog:
    """Every weight version that the store was given, in order, from Redis's own notifications."""

    def __init__(self, client: Any, experiment: str) -> None:
        client.config_set("notify-keyspace-events", "K$")
        self.versions: list[int] = []
        self._ended = threading.Event()
        self._subscription = client.pubsub(ignore_subscribe_messages=True)
        self._subscription.psubscribe(f"__keyspace@*__:tinyqueue:{experiment}:weights:*")
        self._thread = threading.Thread(target=self._listen, name="version-log", daemon=True)
        self._thread.start()

    @property
    def falls(self) -> list[tuple[int, int]]:
        """Neighbours that do not rise strictly."""
        pairs = zip(self.versions, self.versions[1:], strict=False)
        return [(before, after) for before, after in pairs if after <= before]

    def close(self) -> None:
        self._ended.set()
        self._thread.join(timeout=10)
        self._subscription.close()

    def _listen(self) -> None:
        while not self._ended.is_set():
            message = self._subscription.get_message(timeout=0.1)
            if message is not None and message["data"] == b"set":
                self.versions.append(int(message["channel"].rpartition(b":")[2]))


@contextlib.contextmanager
def watching_versions(client: redis.Redis, experiment: str) -> Iterator[VersionLog]:
    log = VersionLog(client, experiment)
    try:
        yield log
    finally:
        log.close()
