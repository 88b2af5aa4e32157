import json
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinyqueue.data.identity import new_id
from tinyqueue.data.session import Header, SessionBatch
from tinyqueue.errors import RunDirectoryError
from tinyqueue.ledger.ledger import Ledger
from tinyqueue.ledger.marks import Mark, Recorded, StoredBody
from tinyqueue.ledger.session_log import SessionLog
from tinyqueue.wire.sessions import encode_session

STAGE = "a" * 32
OWNER: Any = {"experiment": "pole", "run": "1"}


def kept(n: int, body: bytes | None = None) -> Mark:
    body = bytes([n % 256]) * 30_000 if body is None else body
    return Mark(f"{STAGE}:{n}", "accepted", env_steps=10, body=StoredBody(body, {"n": n}))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "sessions.db"


def numbers(path: Path) -> list[int]:
    with SessionLog(path) as log:
        return [row.number for row in log.rows()]


def test_bodies_come_back_in_the_order_of_acceptance_with_rising_numbers(path):
    with Ledger(path, **OWNER) as ledger:
        assert ledger.record([kept(3), kept(0)]) == [Recorded(True, 1), Recorded(True, 2)]
        assert ledger.record([kept(1, b"")]) == [Recorded(True, 3)]
    with SessionLog(path) as log:
        rows = list(log.rows())
        assert [row.number for row in rows] == [1, 2, 3]
        assert [row.batch_id for row in rows] == [f"{STAGE}:{n}" for n in (3, 0, 1)]
        assert [row.headers for row in rows] == [{"n": 3}, {"n": 0}, {"n": 1}]
        assert [len(row.body) for row in rows] == [30_000, 30_000, 0]
        assert [row.number for row in log.rows(start=3)] == [3]
        assert [entry.body_bytes for entry in log.entries()] == [30_000, 30_000, 0]
        assert (log.owner.experiment, log.owner.run) == ("pole", "1")
        assert (log.find(f"{STAGE}:0"), log.find(f"{STAGE}:9")) == (2, None)


def test_only_marks_that_decide_an_acceptance_leave_a_row(path):
    body = StoredBody(b"x", {})
    with Ledger(path, **OWNER) as ledger:
        recorded = ledger.record(
            [
                kept(0),
                kept(0),
                Mark(f"{STAGE}:1", "dropped", "stale", body=body),
                Mark(f"{STAGE}:2", "accepted", env_steps=1),
                Mark(f"{STAGE}:0", "duplicate", body=body),
                kept(3),
            ]
        )
        assert [mark.number for mark in recorded] == [1, 0, 0, 0, 0, 2]
    assert numbers(path) == [1, 2]


def test_trimmed_rows_go_with_the_next_records_and_no_mark_goes(path):
    with Ledger(path, **OWNER) as ledger:
        ledger.record([kept(n) for n in range(200)])
        ledger.trim(before=101)
        assert numbers(path) == list(range(1, 201))
        ledger.record([kept(200)])
        assert numbers(path)[0] > 1
        for n in range(201, 210):
            ledger.record([Mark(f"{STAGE}:{n}", "accepted", env_steps=10)])
        assert numbers(path) == list(range(101, 202))
        assert all(ledger.knows(f"{STAGE}:{n}") for n in range(210))
        assert ledger.count().accepted == 210


def test_numbers_are_not_used_again_after_all_rows_were_trimmed_and_the_file_reopened(path):
    with Ledger(path, **OWNER) as ledger:
        ledger.record([kept(0), kept(1)])
        ledger.trim(before=99)
        ledger.record([Mark(f"{STAGE}:5", "dropped", "stale")])
        assert numbers(path) == []
    with Ledger(path, **OWNER) as ledger:
        ledger.trim(before=0)
        assert ledger.record([kept(2)]) == [Recorded(True, 3)]
    assert numbers(path) == [3]


def test_of_samples_the_newest_thousand_stay(path):
    with Ledger(path, **OWNER) as ledger:
        for first in range(0, 1200, 50):
            ledger.record([kept(n, b"x") for n in range(first, first + 50)])
        assert numbers(path) == list(range(201, 1201))


def test_a_steady_log_takes_no_more_room(path):
    with Ledger(path, **OWNER, keeps_bodies=True) as ledger:
        for n in range(60):
            recorded = ledger.record([kept(2 * n), kept(2 * n + 1)])
            ledger.trim(recorded[-1].number - 20)
            if n == 30:
                (before,) = ledger._file._database.execute("PRAGMA page_count").fetchone()
        (after,) = ledger._file._database.execute("PRAGMA page_count").fetchone()
    assert after <= 1.1 * before
    assert numbers(path) == list(range(98, 121))


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"experiment": "pong", "run": "1"}, r"'pole', run 1; this is experiment 'pong', run 1"),
        ({"experiment": "pole", "run": "2"}, r"'pole', run 1; this is experiment 'pole', run 2"),
    ],
)
def test_the_file_of_another_experiment_or_run_is_refused_with_both_named(path, other, said):
    Ledger(path, **OWNER).close()
    with pytest.raises(RunDirectoryError, match=said):
        Ledger(path, **other)


def test_a_reader_refuses_another_schema_an_absent_file_and_rubbish(tmp_path, path):
    with pytest.raises(RunDirectoryError, match="cannot be read"):
        SessionLog(path)
    Ledger(path, **OWNER).close()
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 9")
    database.close()
    with pytest.raises(RunDirectoryError, match=r"schema 9.*reads 3"):
        SessionLog(path)
    rubbish = tmp_path / "rubbish.db"
    rubbish.write_bytes(b"x" * 5000)
    with pytest.raises(RunDirectoryError, match="cannot be read"):
        SessionLog(rubbish)


def test_a_changed_byte_costs_its_row_and_no_other(path):
    with Ledger(path, **OWNER) as ledger:
        ledger.record([kept(n) for n in range(10)])
    data = bytearray(path.read_bytes())
    place = data.index(bytes([4]) * 500)
    data[place + 100] ^= 1
    path.write_bytes(data)

    with SessionLog(path) as log:
        assert [row.number for row in log.rows()] == [1, 2, 3, 4, 6, 7, 8, 9, 10]
        assert log.skipped == {5: "its checksum is wrong"}
    with Ledger(path, **OWNER) as ledger:
        assert not ledger.mend_log()


def destroy_pages_of_the_log(path: Path) -> None:
    """Overwrites a leaf of the table and the start of a body's second page."""
    with sqlite3.connect(path) as database:
        (size,) = database.execute("PRAGMA page_size").fetchone()
    database.close()
    data = bytearray(path.read_bytes())
    leaf = data.index(f"{STAGE}:3".encode()) // size
    overflow = data.index(bytes([200]) * 500) // size
    data[leaf * size : (leaf + 1) * size] = b"\xff" * size
    data[overflow * size : overflow * size + 4] = b"\x00\xff\xff\xff"
    path.write_bytes(data)


def test_destroyed_pages_cost_their_rows_and_mending_lets_the_log_go_on(path):
    with Ledger(path, **OWNER) as ledger:
        ledger.record([kept(n) for n in range(250)])
    destroy_pages_of_the_log(path)

    with Ledger(path, **OWNER) as ledger:
        with SessionLog(path) as log:
            readable = [row.number for row in log.rows()]
            assert 230 < len(readable) < 250
            assert {4, 201} <= log.skipped.keys()
            assert sorted([*readable, *log.skipped]) == list(range(1, 251))
        assert ledger.mend_log()
        assert not ledger.mend_log()
        whole = ledger._file._database.execute("PRAGMA integrity_check").fetchall()
        assert whole == [("ok",)]
        assert numbers(path) == readable
        ledger.trim(before=999)
        for n in range(250, 260):
            ledger.record([kept(n)])
        assert ledger.count().accepted == 260
    assert numbers(path) == [260]


def test_a_reader_follows_a_log_that_grows_and_is_trimmed_meanwhile(path):
    with Ledger(path, **OWNER) as ledger, SessionLog(path) as log:
        ledger.record([kept(n) for n in range(10)])
        rows = log.rows()
        assert next(rows).number == 1
        ledger.trim(before=6)
        ledger.record([kept(10)])
        assert [row.number for row in rows] == [6, 7, 8, 9, 10]
        assert log.numbers == range(6, 12)
        assert log.skipped == {}


def session(n: int) -> SessionBatch:
    ticks, slots = 4, 2
    return SessionBatch(
        header=Header("pole", "1", STAGE, n, "user", "player", 1, 1),
        observations={"": np.full((ticks + 1, slots, 3), n, np.float32)},
        actions={"": np.zeros((ticks, slots), np.int64)},
        rewards=np.ones((ticks, slots), np.float32),
        terminated=np.zeros((ticks, slots), bool),
        truncated=np.zeros((ticks, slots), bool),
        valid=np.ones((ticks, slots), bool),
    )


def test_rows_decode_to_the_batches_they_were_and_others_are_named(path):
    marks = []
    for n in range(3):
        encoded = encode_session(session(n), "none")
        marks.append(kept(n, encoded.body))
        marks[-1] = replace(marks[-1], body=StoredBody(encoded.body, encoded.headers))
    marks.insert(1, kept(7))
    with Ledger(path, **OWNER) as ledger:
        ledger.record(marks)
    with SessionLog(path) as log:
        decoded = dict(log.batches())
        assert {number: batch.header.n for number, batch in decoded.items()} == {1: 0, 3: 1, 4: 2}
        assert decoded[3].observations[""][0, 0].tolist() == [1.0, 1.0, 1.0]
        assert list(log.skipped) == [2]


def test_headers_are_kept_as_json(path):
    run = new_id()
    with Ledger(path, **OWNER) as ledger:
        headers: dict[str, str | int | float | bool] = {
            "run": run,
            "raw_bytes": 12,
            "play_s": 0.5,
            "flag": True,
        }
        ledger.record([replace(kept(0), body=StoredBody(b"x", headers))])
    with sqlite3.connect(path) as database:
        (text,) = database.execute("SELECT headers FROM batches").fetchone()
    database.close()
    assert json.loads(text) == headers
