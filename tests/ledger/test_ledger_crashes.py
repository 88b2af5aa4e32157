"""A writer is killed at random moments; what it was told is on the disk must be there."""

import random
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from tinyqueue.ledger.ledger import Ledger
from tinyqueue.ledger.session_log import SessionLog

OWNER: Any = {"experiment": "pole", "run": "1"}
REPOSITORY = Path(__file__).parents[2]
KILLS = 20

# Delivers batches again and again in a shuffled order, as a broker does after a crash, and
# says which ones the ledger let it accept: only then would they be trained on.
WRITER = """
import random, sys
from pathlib import Path
from tinyqueue.data.session import Drop
from tinyqueue.ledger.ledger import Ledger
from tinyqueue.ledger.marks import Mark, StoredBody

rng = random.Random(int(sys.argv[2]))
ledger = Ledger(Path(sys.argv[1]), experiment="pole", run="1", keeps_bodies=True)
stage = "d" * 32
print("ready", flush=True)
while True:
    first = rng.randrange(0, 4000)
    group = [first + rng.randrange(0, 40) for _ in range(rng.randrange(1, 6))]
    marks = [
        Mark(f"{stage}:{n}", "accepted", env_steps=1, body=StoredBody(b"%d " % n * 5000, {"n": n}))
        for n in group
    ]
    if rng.random() < 0.2:
        drop = Drop(max(0, first - 1), "gave up")
        marks.append(Mark(f"{stage}:{first}", "dropped", "stale", announced=(drop,)))
    fates = ledger.record(marks)
    newest = max((fate.number for fate in fates), default=0)
    ledger.trim(newest - 100)
    accepted = [m.batch_id for m, new in zip(marks, fates) if new.decided and m.fate == "accepted"]
    print(*accepted, flush=True)
"""


@pytest.mark.faults
def test_a_killed_writer_loses_nothing_and_accepts_nothing_twice(tmp_path):
    path = tmp_path / "sessions.db"
    rng = random.Random(11)
    accepted: list[str] = []
    for kill in range(KILLS):
        said = _run_and_kill(path, seed=kill, after_s=rng.uniform(0.0, 0.08))
        accepted += said
        with Ledger(path, **OWNER) as ledger:
            count = ledger.count()
            assert count.unbalanced == 0
            assert [batch_id for batch_id in accepted if not ledger.knows(batch_id)] == []
            assert len(set(accepted)) == len(accepted)
            # Recorded and killed before it could say so: at most one group per kill.
            assert len(accepted) <= count.accepted <= len(accepted) + 5 * (kill + 1)
            assert count.env_steps == count.accepted
        rows = _rows(path)
        # Numbered in the order of acceptance: the newest say what was said last, or was not.
        assert len(rows) >= min(100, count.accepted)
        assert [number for number, _ in rows][-1] == count.accepted
        assert set(accepted[-50:]) <= {batch_id for _, batch_id in rows}
    assert len(accepted) > KILLS


def _rows(path: Path) -> list[tuple[int, str]]:
    """Numbers and ids of a log in which nothing is damaged, and every body is its own batch's."""
    with SessionLog(path) as log:
        rows = list(log.rows())
        assert log.skipped == {}
    for row in rows:
        assert row.body == b"%d " % row.headers["n"] * 5000
        assert row.batch_id.endswith(f":{row.headers['n']}")
    return [(row.number, row.batch_id) for row in rows]


def _run_and_kill(path: Path, seed: int, after_s: float) -> list[str]:
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), str(seed)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert writer.stdout is not None
    with writer, writer.stdout:
        assert writer.stdout.readline() == "ready\n"
        timer = threading.Timer(after_s, writer.kill)
        timer.start()
        said = writer.stdout.read()
        timer.join()
    # A last line that was cut off was recorded all the same; it is only not said.
    whole = said.rpartition("\n")[0]
    return whole.split()
