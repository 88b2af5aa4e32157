import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from tinyqueue.errors import DiskFullError, RunDirectoryError
from tinyqueue.run.outcome import read_outcome
from tinyqueue.run.run_directory import RunDirectory

REPOSITORY = Path(__file__).parents[2]
DOCUMENT = {"name": "pole", "seed": 3, "algorithm": {"name": "impala", "learning_rate": 1e-06}}


@pytest.fixture
def run(tmp_path):
    run = RunDirectory.create(tmp_path, DOCUMENT, {"host": "here", "seed": np.int64(3)})
    yield run
    run.close()


def test_a_new_run_gets_the_next_number_and_keeps_what_it_was_given(tmp_path, run):
    second = RunDirectory.create(tmp_path, DOCUMENT, {})
    assert run.path == tmp_path / "pole" / "1"
    assert second.path == tmp_path / "pole" / "2"
    assert run.run_id != second.run_id
    assert run.document() == DOCUMENT
    assert run.info() == {"host": "here", "seed": 3}
    second.close()


def test_an_experiment_is_put_in_the_place_of_the_first(run):
    changed = {**DOCUMENT, "environment": {"id": "CartPole-v1", "drop": ["mission"]}}
    run.keep_document(changed)
    assert run.document() == changed


def test_a_run_that_has_not_begun_moves_to_another_name(tmp_path, run):
    # Given a file that is open in it, and a run of the other name
    other = RunDirectory.create(tmp_path, {**DOCUMENT, "name": "pole-ppo"}, {})
    log = (run.path / "learner.log").open("a")

    # When it is renamed
    run.rename({**DOCUMENT, "name": "pole-ppo", "seed": 4})

    # Then all of it is there, under a number of its own, and still locked
    assert run.path == tmp_path / "pole-ppo" / "2"
    assert not (tmp_path / "pole").exists()
    assert run.document() == {**DOCUMENT, "name": "pole-ppo", "seed": 4}
    assert json.loads((run.path / "run.json").read_text())["experiment"] == "pole-ppo"
    log.write("more")
    log.close()
    assert (run.path / "learner.log").read_text() == "more"
    with pytest.raises(RunDirectoryError, match="in use"):
        RunDirectory.open(run.path)
    other.close()


def test_a_renamed_run_that_is_refused_leaves_no_folder(tmp_path):
    runs = tmp_path / "new" / "runs"
    run = RunDirectory.create(runs, DOCUMENT, {})
    run.rename({**DOCUMENT, "name": "pole-ppo"})

    run.discard_unless_begun()
    run.close()

    assert not (tmp_path / "new").exists()


def test_the_newest_run_is_the_one_of_the_highest_number(tmp_path):
    assert RunDirectory.newest(tmp_path, "pole") is None
    for _ in range(11):
        RunDirectory.create(tmp_path, DOCUMENT, {}).close()
    assert RunDirectory.newest(tmp_path, "pole") == tmp_path / "pole" / "11"


def test_a_refused_learner_s_new_run_leaves_nothing_that_a_restart_would_take_for_the_newest(
    tmp_path, run
):
    run.reserve_epoch(0)
    refused = RunDirectory.create(tmp_path, DOCUMENT, {})
    refused.discard_unless_begun()
    refused.close()
    assert RunDirectory.newest(tmp_path, "pole") == run.path

    run.discard_unless_begun()
    assert run.document() == DOCUMENT


def test_a_discarded_run_takes_the_folders_with_it_that_were_made_for_it(tmp_path):
    root, others = tmp_path / "new" / "runs", tmp_path / "others"
    (others / "pole").mkdir(parents=True)

    for folder in (root, others):
        refused = RunDirectory.create(folder, DOCUMENT, {})
        refused.discard_unless_begun()
        refused.close()

    assert not root.parent.exists()
    assert list((others / "pole").iterdir()) == []


def test_a_discarded_run_leaves_the_folders_of_others(tmp_path):
    root = tmp_path / "runs"
    refused = RunDirectory.create(root, DOCUMENT, {})
    other = RunDirectory.create(root, DOCUMENT, {})

    refused.discard_unless_begun()

    assert RunDirectory.newest(root, "pole") == other.path
    for each in (refused, other):
        each.close()


def test_a_run_that_was_there_before_is_not_discarded(run):
    run.close()
    again = RunDirectory.open(run.path)
    again.discard_unless_begun()
    again.close()
    assert again.document() == DOCUMENT


def test_a_number_that_something_else_has_taken_is_passed_over(tmp_path):
    (tmp_path / "pole" / "1").mkdir(parents=True)
    (tmp_path / "pole" / "1" / "notes.txt").write_text("mine")
    (tmp_path / "pole" / "2").write_text("a file")
    run = RunDirectory.create(tmp_path, DOCUMENT, {})
    assert run.path.name == "3"
    assert (tmp_path / "pole" / "1" / "notes.txt").read_text() == "mine"
    run.close()


def test_a_run_is_opened_again_as_it_was_left(run):
    run.reserve_epoch(0)
    run.close()
    again = RunDirectory.open(run.path)
    assert (again.run_id, again.epoch, again.document()) == (run.run_id, 1, DOCUMENT)
    again.close()


@pytest.mark.integration
def test_a_run_in_use_is_refused_with_its_holder(run):
    script = "import sys; from pathlib import Path; from tinyqueue.run.run_directory import *\n"
    script += "RunDirectory.open(Path(sys.argv[1]))"
    other = subprocess.run(
        [sys.executable, "-c", script, str(run.path)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert other.returncode == 1
    assert "RunDirectoryError" in other.stderr
    with pytest.raises(RunDirectoryError, match=rf"in use by pid {os.getpid()} on "):
        RunDirectory.open(run.path)


def test_versions_are_never_reserved_twice(run):
    assert run.reserve_versions(0) == range(0, 1000)
    assert run.reserve_versions(1000) == range(1000, 2000)
    run.close()
    again = RunDirectory.open(run.path)
    assert again.reserve_versions(0) == range(2000, 3000)
    assert again.reserve_versions(70_001) == range(70_001, 71_001)
    again.close()


def test_epochs_rise_and_follow_one_seen_elsewhere(run):
    assert run.reserve_epoch(0) == 1
    assert run.reserve_epoch(9) == 9
    assert run.reserve_epoch(4) == 10
    assert run.epoch == 10


def test_a_run_that_goes_on_has_not_ended(run):
    (run.path / "outcome.json").write_text('{"ended": "failed"}')
    assert read_outcome(run.path) == {"ended": "failed"}

    run.goes_on()
    run.goes_on()

    assert read_outcome(run.path) == {}


def test_what_cannot_be_written_is_not_reserved(run, monkeypatch):
    def full(path, data):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("tinyqueue.run.run_directory.replace_file", full)
        with pytest.raises(DiskFullError, match="No space left"):
            run.reserve_versions(0)
    assert run.reserve_versions(0) == range(0, 1000)


def test_rows_are_appended_as_json_lines(run):
    run.append("metrics", {"loss": np.float32(0.5), "lag": float("nan")}, {"loss": 1})
    run.append("metrics", {"loss": 2})
    run.append("episodes", {"return": 9.0})
    lines = (run.path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [
        {"loss": 0.5, "lag": None},
        {"loss": 1},
        {"loss": 2},
    ]


@pytest.mark.parametrize("text", ["", "{", '{"schema": 1}', '{"schema": 1, "run": 7, "info": {}}'])
def test_a_damaged_run_file_is_refused_and_the_lock_let_go(run, text):
    run.close()
    (run.path / "run.json").write_text(text)
    for _ in range(2):
        with pytest.raises(RunDirectoryError, match="damaged"):
            RunDirectory.open(run.path)


def test_a_run_of_another_schema_is_refused(run):
    run.close()
    (run.path / "run.json").write_text('{"schema": 2}')
    with pytest.raises(RunDirectoryError, match="schema 2"):
        RunDirectory.open(run.path)


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(RunDirectoryError, match=r"holds no run\.json"):
        RunDirectory.open(tmp_path)


def test_an_experiment_file_that_is_gone_is_named(run):
    (run.path / "experiment.toml").unlink()
    with pytest.raises(RunDirectoryError, match=r"experiment\.toml cannot be read"):
        run.document()


def test_a_run_that_cannot_be_made_leaves_nothing(tmp_path, monkeypatch):
    def full(path, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tinyqueue.run.numbered_folders.write_synced", full)
    with pytest.raises(RunDirectoryError, match="No space left"):
        RunDirectory.create(tmp_path, DOCUMENT, {})
    assert list((tmp_path / "pole").iterdir()) == []


RESERVER = """
import sys
from itertools import pairwise
from pathlib import Path
from tinyqueue.run.run_directory import RunDirectory
run = RunDirectory.open(Path(sys.argv[1]))
while True:
    print(run.reserve_versions(0).start, run.reserve_epoch(0), flush=True)
"""


@pytest.mark.faults
def test_reservations_rise_across_kills(run):
    run.close()
    said: list[tuple[int, int]] = []
    for lines in (1, 7, 20, 3, 12):
        process = subprocess.Popen(
            [sys.executable, "-c", RESERVER, str(run.path)],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        with process, process.stdout:
            for _ in range(lines):
                start, epoch = process.stdout.readline().split()
                said.append((int(start), int(epoch)))
            process.kill()
    starts, epochs = zip(*said, strict=True)
    assert all(b - a >= 1000 for a, b in pairwise(starts))
    assert all(b > a for a, b in pairwise(epochs))
