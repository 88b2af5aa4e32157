"""A real full disk, where this process may mount one; SQLite's own limit elsewhere."""

import subprocess
import sys
from pathlib import Path

import pytest

from tinyqueue.errors import DiskFullError
from tinyqueue.learner.ledger import Ledger, Mark, Recorded, StoredBody
from tinyqueue.learner.session_log import SessionLog

STAGE = "e" * 32
REPOSITORY = Path(__file__).parents[2]
MOUNTED = ["unshare", "--map-root-user", "--mount", "sh", "-c"]


def kept(n: int, size: int = 20_000) -> Mark:
    return Mark(f"{STAGE}:{n}", "accepted", env_steps=10, body=StoredBody(b"x" * size, {"n": n}))


def test_without_room_neither_row_nor_mark_is_there_and_with_room_both_are(tmp_path):
    path = tmp_path / "sessions.db"
    with Ledger(path, experiment="pole", run="1", keeps_bodies=True) as ledger:
        database = ledger._file._database
        assert ledger.record([kept(0)]) == [Recorded(True, 1)]
        (pages,) = database.execute("PRAGMA page_count").fetchone()
        database.execute(f"PRAGMA max_page_count = {pages + 1}")
        with pytest.raises(DiskFullError, match=r"is full.*Nothing was recorded"):
            ledger.record([kept(1), kept(2)])
        assert not ledger.knows(f"{STAGE}:1")
        with SessionLog(path) as log:
            assert [row.number for row in log.rows()] == [1]

        database.execute("PRAGMA max_page_count = 1000000")
        assert ledger.record([kept(1), kept(2)]) == [Recorded(True, 2), Recorded(True, 3)]
        with SessionLog(path) as log:
            assert [row.batch_id[-1] for row in log.rows()] == ["0", "1", "2"]
            assert log.skipped == {}
        assert ledger.env_steps == 30


# Fills the disk beside the ledger, until nothing goes any more; then makes room.
ON_A_SMALL_DISK = """
import sys
from pathlib import Path
from tinyqueue.errors import DiskFullError
from tinyqueue.learner.ledger import Ledger, Mark, StoredBody
from tinyqueue.learner.session_log import SessionLog
from tinyqueue.learner.streams import LineFile

disk = Path(sys.argv[1])
other = disk / "somebody's"
other.write_bytes(b"x" * int(sys.argv[2]))
lines = LineFile(disk / "metrics.jsonl")
recorded = refused = 0
with Ledger(disk / "sessions.db", experiment="pole", run="1") as ledger:
    while refused < 5:
        body = StoredBody(b"x" * 5_000, {"n": recorded})
        try:
            ledger.record([Mark(f"{'e' * 32}:{recorded}", "accepted", env_steps=1, body=body)])
        except DiskFullError:
            refused += 1
            lines.append([{"refused": refused}])
        else:
            assert refused == 0
            recorded += 1
    other.unlink()
    ledger.record([Mark(f"{'e' * 32}:{recorded}", "accepted", env_steps=1, body=body)])
    lines.append([{"refused": 0}])
    assert ledger.env_steps == recorded + 1 > 50
    assert len((disk / "metrics.jsonl").read_text().splitlines()) == 6
    with SessionLog(disk / "sessions.db") as log:
        assert len(list(log.rows())) == recorded + 1
        assert not log.skipped
"""


POINTS_ON_A_SMALL_DISK = """
import sys
from pathlib import Path
from tinyqueue.learner import tensorboard

disk = Path(sys.argv[1])
tensorboard.RETRY_S = 0.0
other = disk / "somebody's"
board = tensorboard.TensorBoard(disk / "tb")
other.write_bytes(b"x" * int(sys.argv[2]))
for step in range(2_000):
    board.write("train", {"loss": 1.0, "lag": 2.0}, step)
other.unlink()
before = sum(file.stat().st_size for file in (disk / "tb").iterdir())
for step in range(2_000, 2_010):
    board.write("train", {"loss": 1.0}, step)
board.close()
assert sum(file.stat().st_size for file in (disk / "tb").iterdir()) > before
"""


def can_mount() -> bool:
    try:
        return not subprocess.run(
            [*MOUNTED, "mount -t tmpfs none /mnt"], capture_output=True, check=False
        ).returncode
    except FileNotFoundError:
        return False


needs_a_disk = pytest.mark.skipif(not can_mount(), reason="no mount namespaces for this user")


def run_on_a_small_disk(script: str, disk: Path, free_kb: int) -> str:
    """Runs a script with a disk of 8 MB and how much of it to fill; returns all that it said."""
    mount = f'mount -t tmpfs -o size=8m none "{disk}"'
    command = f'{mount} && exec "$0" -c "$1" "{disk}" {(8192 - free_kb) * 1024}'
    run = subprocess.run(
        [*MOUNTED, command, sys.executable, script],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout + run.stderr


@needs_a_disk
@pytest.mark.parametrize("free_kb", [700, 733, 1900, 6000])
def test_a_real_full_disk_stops_the_ledger_and_lines_and_room_lets_them_go_on(tmp_path, free_kb):
    assert "lines wait for it" in run_on_a_small_disk(ON_A_SMALL_DISK, tmp_path, free_kb)


@needs_a_disk
def test_a_full_disk_costs_points_for_tensorboard_and_nothing_else(tmp_path):
    said = run_on_a_small_disk(POINTS_ON_A_SMALL_DISK, tmp_path, free_kb=40)
    assert "points for TensorBoard are lost" in said
