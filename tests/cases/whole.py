"""Whether what a command left in its folder of runs is whole."""

from __future__ import annotations

import fcntl
import json
import sqlite3
from contextlib import closing
from pathlib import Path

from tinyqueue.errors import CheckpointError
from tinyqueue.run.checkpoints import CheckpointReader


def runs_in(folder: Path) -> list[Path]:
    """The runs below ``folder/runs``, by experiment and number."""
    return sorted(path for path in (folder / "runs").glob("*/*") if path.name.isdigit())


def half_written(folder: Path) -> list[str]:
    """What is not whole, in a sentence each; empty when all is well."""
    faults = [
        f"{path.relative_to(folder)} is left over"
        for path in sorted((folder / "runs").rglob("*"))
        if path.name.startswith((".new-", ".old-")) or path.name.endswith((".tmp", ".partial"))
    ]
    for experiment in sorted((folder / "runs").glob("*")):
        if not any(experiment.iterdir()):
            faults.append(f"{experiment.relative_to(folder)} is an empty folder")
    for run in runs_in(folder):
        faults += [f"{run.relative_to(folder)}: {fault}" for fault in _faults_of(run)]
    return faults


def _faults_of(run: Path) -> list[str]:
    return [*_documents(run), *_streams(run), *_checkpoints(run), *_ledger(run), *_lock(run)]


def _documents(run: Path) -> list[str]:
    faults = []
    for name in ("run.json", "outcome.json"):
        try:
            json.loads((run / name).read_bytes())
        except FileNotFoundError:
            if name == "run.json":
                faults.append("no run.json")
        except ValueError:
            faults.append(f"{name} is torn")
    return faults


def _streams(run: Path) -> list[str]:
    faults = []
    for stream in run.glob("*.jsonl"):
        rows = stream.read_text().split("\n")
        if rows.pop():
            faults.append(f"the last line of {stream.name} is torn")
        for row in rows:
            try:
                json.loads(row)
            except ValueError:
                faults.append(f"{stream.name} has a line that is not JSON: {row[:60]}")
                break
    return faults


def _checkpoints(run: Path) -> list[str]:
    faults = []
    reader = CheckpointReader(run / "checkpoints")
    for path in reader.paths():
        try:
            reader.load(path)
        except CheckpointError as error:
            faults.append(f"checkpoint {path.name}: {error}")
    return faults


def _ledger(run: Path) -> list[str]:
    ledger = run / "sessions.db"
    if not ledger.exists():
        return []
    with closing(sqlite3.connect(ledger)) as connection:
        (answer,) = connection.execute("PRAGMA integrity_check").fetchone()
    return [] if answer == "ok" else [f"sessions.db: {answer}"]


def _lock(run: Path) -> list[str]:
    with (run / "lock").open("rb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return ["it is still locked"]
    return []
