"""A real full disk, where this process may mount one; SQLite's own limit elsewhere."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tinyqueue.errors import DiskFullError, RunDirectoryError
from tinyqueue.ledger.ledger import Ledger
from tinyqueue.ledger.marks import Mark, Recorded, StoredBody
from tinyqueue.ledger.session_log import SessionLog

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
from tinyqueue.ledger.ledger import Ledger
from tinyqueue.ledger.marks import Mark, StoredBody
from tinyqueue.ledger.session_log import SessionLog
from tinyqueue.run.line_file import LineFile

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
from tinyqueue.monitor import tensorboard

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


OPENED_ON_A_FULL_DISK = """
import shutil
import sys
from pathlib import Path
from tinyqueue.errors import DiskFullError
from tinyqueue.ledger.ledger import Ledger, read_count
from tinyqueue.ledger.marks import Mark

path, existing, left = Path(sys.argv[1]) / "sessions.db", {existing}, {left}
owner = {{"experiment": "pole", "run": "1"}}
if existing:
    with Ledger(path, **owner) as ledger:
        ledger.record([Mark("e" * 32 + ":0", "accepted", env_steps=7)])
other = path.with_name("somebody's")
other.write_bytes(b"x" * (shutil.disk_usage(path.parent).free - left))
for read in [lambda: Ledger(path, **owner)] + existing * [lambda: read_count(path)]:
    try:
        read()
    except DiskFullError as error:
        print(error)
other.unlink()
with Ledger(path, **owner) as ledger:
    assert ledger.env_steps == (7 if existing else 0)
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


@pytest.mark.integration
@needs_a_disk
@pytest.mark.parametrize("free_kb", [700, 733, 1900, 6000])
def test_a_real_full_disk_stops_the_ledger_and_lines_and_room_lets_them_go_on(tmp_path, free_kb):
    assert "lines wait for it" in run_on_a_small_disk(ON_A_SMALL_DISK, tmp_path, free_kb)


@pytest.mark.integration
@needs_a_disk
def test_a_full_disk_costs_points_for_tensorboard_and_nothing_else(tmp_path):
    said = run_on_a_small_disk(POINTS_ON_A_SMALL_DISK, tmp_path, free_kb=40)
    assert "points for TensorBoard are lost" in said


@pytest.mark.integration
@needs_a_disk
@pytest.mark.parametrize(("existing", "left"), [(0, 0), (0, 4096), (0, 24_576), (1, 0), (1, 8192)])
def test_a_ledger_on_a_full_disk_is_not_damaged_and_opens_when_there_is_room(
    tmp_path, existing, left
):
    script = OPENED_ON_A_FULL_DISK.format(existing=existing, left=left)

    said = run_on_a_small_disk(script, tmp_path, free_kb=8192).splitlines()

    assert len(said) == 1 + existing
    for line in said:
        assert line.startswith(f"the ledger {tmp_path / 'sessions.db'} cannot be opened")
        assert line.endswith("Free disk space, then start again.")


COMMAND_ON_A_FULL_DISK = """
import shutil
import sys
from pathlib import Path
from tinyqueue.catalogue import make_experiment, presets
from tinyqueue.cli.main import main
from tinyqueue.experiment.documents import read_document
from tinyqueue.ledger.ledger import Ledger
from tinyqueue.run.run_directory import RunDirectory

document = make_experiment(read_document(presets()["cartpole-dqn"])).document()
run = RunDirectory.create(Path(sys.argv[1]), document, {{}})
run.close()
if {existing}:
    Ledger(run.path / "sessions.db", experiment="cartpole-dqn", run=run.run_id).close()
other = run.path / "somebody's"
other.write_bytes(b"x" * (shutil.disk_usage(run.path).free - 16_384))
sys.argv = ["tinyqueue", *{words}, str(run.path)]
try:
    main()
except SystemExit as end:
    assert end.code == 1
"""


@pytest.mark.integration
@needs_a_disk
@pytest.mark.parametrize(
    ("existing", "words"),
    [(1, ["info"]), (1, ["learner", "start", "--resume"]), (0, ["learner", "start", "--resume"])],
)
def test_a_command_on_a_full_disk_ends_with_one_sentence(
    tmp_path, monkeypatch, redis_server, existing, words
):
    monkeypatch.setenv("TINYQUEUE_BROKER_URL", redis_server.broker_url)
    monkeypatch.setenv("TINYQUEUE_REDIS_URL", redis_server.redis_url)
    script = COMMAND_ON_A_FULL_DISK.format(existing=existing, words=words)

    said = run_on_a_small_disk(script, tmp_path, free_kb=8192)

    assert "Traceback" not in said
    assert "sessions.db cannot be opened because the disk is full" in said
    assert said.endswith("Free disk space, then start again.\n")


class Failing(sqlite3.Connection):
    """Fails as a disk would, at the first statement that holds a word."""

    word, code, said = "", 0, ""

    def execute(self, statement, *values):
        if self.word in statement:
            error = sqlite3.OperationalError(self.said)
            error.sqlite_errorcode = self.code
            raise error
        return super().execute(statement, *values)


@pytest.fixture
def fail_at(monkeypatch):
    """Lets every later connection fail."""
    connect = sqlite3.connect

    def fail_at(word, code, said):
        kind = type("At", (Failing,), {"word": word, "code": code, "said": said})
        monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: connect(*a, **k, factory=kind))

    return fail_at


@pytest.mark.parametrize("word", ["journal_mode", "quick_check", "FROM gaps", "FROM log"])
@pytest.mark.parametrize(
    ("code", "kind", "said"),
    [
        (sqlite3.SQLITE_FULL, DiskFullError, "Free disk space, then start again"),
        (sqlite3.SQLITE_BUSY, RunDirectoryError, "cannot be opened: so it is"),
        (sqlite3.SQLITE_CANTOPEN, RunDirectoryError, "cannot be opened: so it is"),
        (sqlite3.SQLITE_IOERR_READ, RunDirectoryError, "cannot be opened: so it is"),
        (sqlite3.SQLITE_READONLY, RunDirectoryError, "cannot be opened: so it is"),
        (sqlite3.SQLITE_CORRUPT, RunDirectoryError, "is damaged: so it is"),
        (sqlite3.SQLITE_NOTADB, RunDirectoryError, "is damaged: so it is"),
    ],
)
def test_only_damage_is_called_damage(tmp_path, fail_at, word, code, kind, said):
    path = tmp_path / "sessions.db"
    Ledger(path, experiment="pole", run="1").close()
    fail_at(word, code, "so it is")

    with pytest.raises(kind, match=said):
        Ledger(path, experiment="pole", run="1")
