"""Ledger and session log of a run that lies where nothing can be written."""

import os
import sqlite3

import pytest

from tinyqueue.errors import RunDirectoryError
from tinyqueue.ledger import read_only
from tinyqueue.ledger.ledger import Ledger, read_count
from tinyqueue.ledger.marks import Mark
from tinyqueue.ledger.read_only import open_to_read
from tinyqueue.ledger.session_log import SessionLog

STAGE = "a" * 32


@pytest.fixture
def ledger_file(tmp_path):
    path = tmp_path / "sessions.db"
    with Ledger(path, experiment="pole", run="b" * 32) as ledger:
        ledger.record([Mark(f"{STAGE}:0", "accepted", env_steps=8)])
    return path


@pytest.fixture
def read_only_mount(monkeypatch):
    """Root may write everywhere: what the file system says of itself is what counts."""
    monkeypatch.setattr(read_only, "is_writable", lambda folder: False)


def test_the_count_and_the_log_are_read_and_nothing_is_made(ledger_file, read_only_mount):
    before = sorted(os.listdir(ledger_file.parent))
    stamp = ledger_file.stat().st_mtime_ns

    assert read_count(ledger_file).accepted == 1
    with SessionLog(ledger_file) as log:
        assert len(log.numbers) == 0
        assert sorted(os.listdir(ledger_file.parent)) == before

    assert ledger_file.stat().st_mtime_ns == stamp


def test_what_is_read_cannot_be_written(ledger_file):
    database = open_to_read(ledger_file)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        database.execute("DELETE FROM stages")
    database.close()


def test_what_a_learner_writes_meanwhile_is_read(tmp_path, read_only_mount):
    path = tmp_path / "sessions.db"
    with Ledger(path, experiment="pole", run="b" * 32) as ledger:
        ledger.record([Mark(f"{STAGE}:0", "accepted", env_steps=8)])

        assert read_count(path).accepted == 1
        ledger.record([Mark(f"{STAGE}:1", "accepted", env_steps=8)])
        assert read_count(path).accepted == 2


def test_a_file_that_is_absent_is_not_made(tmp_path):
    with pytest.raises(RunDirectoryError):
        read_count(tmp_path / "sessions.db")

    assert list(tmp_path.iterdir()) == []
