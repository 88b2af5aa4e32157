"""Nothing that senders invent makes the ledger grow, or its counts say what nobody played."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tinyqueue.data.identity import new_id
from tinyqueue.data.session import Drop
from tinyqueue.ledger import stages_of_logins
from tinyqueue.ledger.claims import MOST_CLAIMS
from tinyqueue.ledger.early_refusals import MOST_NUMBERS
from tinyqueue.ledger.ledger import Ledger, read_count
from tinyqueue.ledger.ledger_step import MOST_LOGINS, UNSTORABLE
from tinyqueue.ledger.marks import Mark, StoredBody
from tinyqueue.ledger.session_log import SessionLog
from tinyqueue.ledger.stage_count import MOST_AHEAD, MOST_GAPS

OWNER: Any = {"experiment": "pole", "run": "1"}
STAGE = "a" * 32


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sessions.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    with Ledger(path, **OWNER) as ledger:
        yield ledger


def rows(path: Path, table: str) -> int:
    with closing(sqlite3.connect(path)) as database:
        (count,) = database.execute(f"SELECT count(*) FROM {table}").fetchone()
    return int(count)


def accepted(stage: str, n: int = 0, login: str = "mallory", **others: Any) -> Mark:
    return Mark(f"{stage}:{n}", "accepted", env_steps=1, login=login, **others)


def test_ten_thousand_stages_of_junk_leave_a_count(path: Path, ledger: Ledger) -> None:
    junk = [Mark(f"{new_id()}:{10**18 - 1}", "set aside", "type", login="m") for _ in range(10_000)]
    for first in range(0, len(junk), 500):
        ledger.record(junk[first : first + 500])

    count = ledger.count()
    assert (count.attempted, count.set_aside, count.missing) == (10_000, {"type": 10_000}, 0)
    assert (rows(path, "stages"), rows(path, "logins"), rows(path, "gaps")) == (0, 1, 0)
    assert len(ledger._state.refused) <= MOST_NUMBERS
    assert count == read_count(path)


def test_stages_beyond_a_logins_bound_are_counted_without_their_rows(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stages_of_logins, "MOST_STAGES", 50)
    with Ledger(path, **OWNER) as ledger:
        ledger.record([accepted(STAGE, n, "rack") for n in range(3)])
        for number in range(400):
            ledger.record([accepted(f"{number:032x}", 2)])
        # In use all the time, so never the one used the longest time ago.
        assert ledger.knows(f"{399:032x}:2")
        assert not ledger.knows(f"{0:032x}:2")
        before = ledger.count()
        assert (before.accepted, before.missing, before.unbalanced) == (403, 800, 0)
        assert (rows(path, "stages"), rows(path, "gaps")) == (51, 50)
        assert ledger.knows(f"{STAGE}:2", "rack")
    with Ledger(path, **OWNER) as ledger:
        assert ledger.count() == before
        # The order of use is that of before.
        ledger.record([accepted(f"{400:032x}")])
        assert not ledger.knows(f"{350:032x}:2")
        assert ledger.knows(f"{351:032x}:2")


def test_a_number_from_far_ahead_invents_few_missing_batches(path: Path, ledger: Ledger) -> None:
    ledger.record([accepted(STAGE), accepted(STAGE, 10**18 - 1)])

    assert ledger.count().missing == MOST_AHEAD
    assert ledger.count().attempted == 2 + MOST_AHEAD
    assert ledger.count() == read_count(path)


def test_a_storm_of_scattered_drops_costs_a_few_statements(path: Path, ledger: Ledger) -> None:
    said: list[str] = []
    ledger._file._database.set_trace_callback(said.append)
    for batch in range(20):
        n = 8_000 * (batch + 1)
        drops = tuple(Drop(n - 7_999 + 100 * k, "x", 3) for k in range(64))
        ledger.record([accepted(STAGE, n, announced=drops)])

    assert ledger.count().dropped == {"x": 20 * 64 * 3}
    assert ledger.count().missing <= 20 * MOST_AHEAD
    assert rows(path, "gaps") <= MOST_GAPS
    assert len(said) <= 20 * (2 * MOST_GAPS + 10)


def test_reasons_that_a_sender_invents_hide_none_of_the_players(ledger: Ledger) -> None:
    drops = tuple(Drop(n, f"reason {chr(97 + n % 26)}{chr(97 + n // 26)}") for n in range(300))
    ledger.record([accepted(STAGE, 300, announced=drops)])
    ledger.record([accepted("b" * 32, 1, "rack", announced=(Drop(0, "queue full"),))])

    assert len(ledger.count().dropped) <= 66
    assert ledger.count().dropped["queue full"] == 1


def test_logins_are_counted_together_beyond_a_bound(path: Path, ledger: Ledger) -> None:
    for number in range(1000):
        ledger.record([Mark(None, "set aside", "type", login=f"login {number}")])

    assert rows(path, "logins") == MOST_LOGINS + 1
    assert ledger.count().set_aside == {"type": 1000}
    assert ledger.count() == read_count(path)


def test_stages_are_kept_for_a_login_within_bounds(ledger: Ledger) -> None:
    ledger.claim(f"{STAGE}:0", "rack")
    for number in range(5000):
        ledger.claim(f"{number:032x}:0", "mallory")

    assert len(ledger._claims) == 1 + MOST_CLAIMS
    assert not ledger.may_use(f"{STAGE}:7", "mallory")


@pytest.mark.parametrize("keeps_bodies", [False, True])
@pytest.mark.parametrize(
    "headers", [{b"\xff": "x"}, {"n": b"\xff"}, {"n": float("nan")}, {"n": object()}]
)
def test_a_body_that_cannot_be_stored_costs_itself(
    path: Path, keeps_bodies: bool, headers: Any
) -> None:
    with Ledger(path, **OWNER, keeps_bodies=keeps_bodies) as ledger:
        good = StoredBody(b"body", {"n": 1})
        recorded = ledger.record(
            [
                accepted(STAGE, 0, body=good),
                accepted(STAGE, 1, body=StoredBody(b"body", headers)),
                accepted(STAGE, 2, body=good),
            ]
        )
        count = ledger.count()

    assert [mark.number for mark in recorded] == [1, 0, 2]
    # A replay takes only what is in the log; a stream has trained on it already.
    assert count.dropped == ({UNSTORABLE: 1} if keeps_bodies else {})
    assert (count.attempted, count.unbalanced) == (3, 0)
    with SessionLog(path) as log:
        assert [row.batch_id[-1] for row in log.rows()] == ["0", "2"]
        assert log.skipped == {}


OF_SCHEMA_2 = f"""
CREATE TABLE stages (
    stage TEXT PRIMARY KEY, next_n INTEGER NOT NULL, accepted INTEGER NOT NULL,
    set_aside INTEGER NOT NULL, dropped INTEGER NOT NULL, env_steps INTEGER NOT NULL
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
CREATE TABLE batches (
    number INTEGER PRIMARY KEY, batch_id TEXT NOT NULL, env_steps INTEGER NOT NULL,
    crc INTEGER NOT NULL, headers TEXT NOT NULL, body BLOB NOT NULL
);
CREATE TABLE log (
    experiment TEXT NOT NULL, run TEXT NOT NULL, first INTEGER NOT NULL, next INTEGER NOT NULL
);
INSERT INTO log VALUES ('pole', '1', 1, 1);
INSERT INTO stages VALUES ('{STAGE}', 9, 5, 1, 1, 50), ('', 3, 0, 3, 0, 0);
INSERT INTO gaps VALUES ('{STAGE}', 3, 4);
INSERT INTO reasons VALUES ('set aside', 'reward', 4), ('dropped', 'stale', 1);
INSERT INTO again VALUES ('duplicates', 2);
PRAGMA user_version = 2;
"""


@pytest.fixture
def older(path: Path) -> Path:
    """A file of schema 2, as written before stages had logins."""
    with closing(sqlite3.connect(path)) as database:
        database.executescript(OF_SCHEMA_2)
    return path


def test_an_older_file_is_read_as_it_is(older: Path) -> None:
    before = older.read_bytes()
    count = read_count(older)

    assert (count.attempted, count.accepted, count.missing, count.unbalanced) == (12, 5, 2, 0)
    assert (count.set_aside, count.dropped) == ({"reward": 4}, {"stale": 1})
    with SessionLog(older) as log:
        assert log.owner == ("pole", "1")
    assert older.read_bytes() == before


def test_an_older_file_is_carried_on_with(older: Path) -> None:
    before = read_count(older)
    for _ in range(2):
        with Ledger(older, **OWNER) as ledger:
            assert ledger.count() == before
            assert ledger.env_steps == 50
            assert [n for n in range(10) if not ledger.knows(f"{STAGE}:{n}")] == [3, 4, 9]
            # Its stages are nobody's yet.
            assert ledger.may_use(f"{STAGE}:3", "rack")

    with Ledger(older, **OWNER) as ledger:
        ledger.record([accepted(STAGE, 3, "rack")])
        assert not ledger.may_use(f"{STAGE}:4", "mallory")
        assert ledger.count().accepted == 6
        assert ledger.count() == read_count(older)
