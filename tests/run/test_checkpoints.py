import os
import random
import subprocess
import sys
import threading
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from tinyqueue.errors import CheckpointError
from tinyqueue.run.checkpoint import Checkpoint
from tinyqueue.run.checkpoints import CheckpointReader, Checkpoints

REPOSITORY = Path(__file__).parents[2]
KILLS = 14


def checkpoint(env_steps: int, score: float | None = None) -> Checkpoint:
    return Checkpoint(
        env_steps=env_steps,
        updates=env_steps // 10,
        version=env_steps,
        weights={"w": np.full(100, env_steps, np.float32)},
        state={"step": np.array([env_steps], np.int64)},
        graph=b"graph",
        spec={},
        score=score,
    )


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


@pytest.fixture
def checkpoints(tmp_path):
    return Checkpoints(tmp_path / "checkpoints", keep=3)


def names(checkpoints: CheckpointReader) -> list[str]:
    return sorted(os.listdir(checkpoints.directory))


def test_without_checkpoints_there_is_no_newest(checkpoints, tmp_path):
    assert checkpoints.newest() is None
    assert checkpoints.best() is None
    assert CheckpointReader(tmp_path / "absent").newest() is None


def test_the_newest_is_the_one_of_the_most_env_steps(checkpoints):
    for env_steps in (5, 1000, 200):
        checkpoints.save(checkpoint(env_steps))
    newest = checkpoints.newest()
    assert newest.env_steps == 1000
    assert newest.weights["w"][0] == 1000
    assert checkpoints.warnings == []


def test_the_last_three_and_the_best_stay(checkpoints):
    for env_steps, score in ((10, 1.0), (20, 9.0), (30, 2.0), (40, None), (50, 3.0), (60, None)):
        checkpoints.save(checkpoint(env_steps, score))
    assert names(checkpoints) == ["000000000020", "000000000040", "000000000050", "000000000060"]
    assert checkpoints.best().env_steps == 20


def test_older_ones_stay_from_the_first_at_about_equal_distances(tmp_path):
    # Given a run that keeps five between its first and its newest
    checkpoints = Checkpoints(tmp_path, keep=2, between=5)

    for number in range(1, 101):
        checkpoints.save(checkpoint(10 * number, score=500.0 if number == 13 else None))

        # Then the first, the best and the newest two are there at any time
        kept = [int(name) for name in names(checkpoints)]
        assert {10, 10 * number, 10 * max(number - 1, 1)} <= {*kept}
        assert (130 in kept) == (number >= 13)

        # And five older ones, of which no two are a third of the run apart
        others = [step for step in kept if step != 130]
        assert len(others) <= 7
        assert number < 20 or max(b - a for a, b in pairwise(others)) <= 10 * number / 3

    assert checkpoints.newest().env_steps == 1000
    assert checkpoints.best().env_steps == 130


def test_an_evaluated_checkpoint_that_is_older_than_the_newest_stays_when_best(checkpoints):
    for env_steps in (10, 20, 30, 40):
        checkpoints.save(checkpoint(env_steps))
    checkpoints.save(checkpoint(5, score=-20.5))
    assert checkpoints.best().env_steps == 5
    assert checkpoints.newest().env_steps == 40


def test_of_equal_scores_the_later_is_best(checkpoints):
    checkpoints.save(checkpoint(10, 500.0))
    checkpoints.save(checkpoint(20, 500.0))
    assert checkpoints.best().env_steps == 20


def test_two_at_the_same_step_overwrite_nothing_and_the_later_is_newer(checkpoints):
    first = checkpoints.save(checkpoint(10))
    second = checkpoints.save(checkpoint(10, score=4.0))
    assert (first.name, second.name) == ("000000000010", "000000000010-2")
    assert checkpoints.newest().score == 4.0


@pytest.mark.parametrize("score", [float("nan"), float("inf")])
def test_a_score_that_is_no_number_is_left_out_and_the_state_kept(checkpoints, score):
    checkpoints.save(checkpoint(1, score))
    assert checkpoints.newest().score is None
    assert checkpoints.best() is None


@pytest.mark.parametrize(
    "name", ["weights.bin", "state.bin", "replay.bin", "checkpoint.json", "policy.onnx"]
)
def test_a_flipped_bit_falls_back_to_the_one_before_and_says_so(checkpoints, name):
    checkpoints.save(checkpoint(10))
    flip_a_bit(checkpoints.save(checkpoint(20)) / name)
    assert checkpoints.newest().env_steps == 10
    assert len(checkpoints.warnings) == 1
    assert f"000000000020: {name}" in checkpoints.warnings[0]


def test_truncated_files_and_a_missing_manifest_fall_back_to_the_one_before(checkpoints):
    checkpoints.save(checkpoint(10))
    torn = checkpoints.save(checkpoint(20)) / "weights.bin"
    torn.write_bytes(torn.read_bytes()[:50])
    (checkpoints.save(checkpoint(30)) / "manifest.json").unlink()
    assert checkpoints.newest().env_steps == 10
    assert len(checkpoints.warnings) == 2
    assert "000000000030: manifest.json cannot be read" in checkpoints.warnings[0]
    assert "(50 bytes) differs" in checkpoints.warnings[1]


def test_a_damaged_best_falls_back_to_the_next_best(checkpoints):
    checkpoints.save(checkpoint(10, 5.0))
    flip_a_bit(checkpoints.save(checkpoint(20, 7.0)) / "weights.bin")
    checkpoints.save(checkpoint(30, 1.0))
    assert checkpoints.best().env_steps == 10
    assert len(checkpoints.warnings) == 1


def test_when_none_is_whole_it_is_an_error_and_not_a_fresh_start(checkpoints):
    for env_steps in (10, 20):
        flip_a_bit(checkpoints.save(checkpoint(env_steps)) / "weights.bin")
    with pytest.raises(CheckpointError, match=r"none of the checkpoints.*20:.*10:"):
        checkpoints.newest()


def test_damaged_ones_neither_count_among_the_kept_nor_are_removed(checkpoints):
    flip_a_bit(checkpoints.save(checkpoint(90)) / "weights.bin")
    checkpoints.save(checkpoint(10))
    assert checkpoints.newest().env_steps == 10
    for env_steps in (20, 30, 40):
        checkpoints.save(checkpoint(env_steps))
    assert [path.name[-2:] for path in checkpoints.paths()] == ["20", "30", "40", "90"]


def test_a_given_checkpoint_is_loaded_or_refused(checkpoints):
    path = checkpoints.save(checkpoint(10))
    assert checkpoints.load(path).env_steps == 10
    flip_a_bit(path / "weights.bin")
    with pytest.raises(CheckpointError, match=r"weights\.bin .* differs .* Load another"):
        checkpoints.load(path)


@pytest.mark.parametrize("call", [1, 3, 5])
def test_a_full_disk_leaves_earlier_checkpoints_and_nothing_else(checkpoints, monkeypatch, call):
    checkpoints.save(checkpoint(10))
    calls = []

    def fill_up(descriptor):
        calls.append(descriptor)
        if len(calls) == call:
            raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fill_up)
        assert checkpoints.save(checkpoint(20)) is None
    assert names(checkpoints) == ["000000000010"]
    assert checkpoints.newest().env_steps == 10
    assert checkpoints.save(checkpoint(20)).name == "000000000020"


def test_a_disk_that_fails_otherwise_is_an_error(checkpoints, monkeypatch):
    def fail(descriptor):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(CheckpointError, match=r"Input/output error.*untouched"):
        checkpoints.save(checkpoint(20))


def test_what_a_crash_left_is_removed_when_a_writer_opens_and_not_by_a_reader(tmp_path):
    for name in (".new-abc", ".old-abc-000000000010"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "weights.bin").write_text("x")
    assert CheckpointReader(tmp_path).newest() is None
    assert len(os.listdir(tmp_path)) == 2
    Checkpoints(tmp_path, keep=1)
    assert os.listdir(tmp_path) == []


@pytest.mark.slow
def test_a_reader_always_gets_a_whole_one_while_the_learner_writes_and_trims(tmp_path):
    writer = Checkpoints(tmp_path, keep=1)
    writer.save(checkpoint(1, 1.0))
    done = threading.Event()

    def write() -> None:
        for env_steps in range(2, 150):
            writer.save(checkpoint(env_steps, float(env_steps)))
        done.set()

    thread = threading.Thread(target=write)
    thread.start()
    reader = CheckpointReader(tmp_path)
    seen = [0]
    while not done.is_set():
        for read in (reader.newest, reader.best):
            found = read()
            assert reader.warnings == []
            assert found.weights["w"][0] == found.state["step"][0] == found.env_steps
            assert found.env_steps >= seen[-1]
            seen.append(found.env_steps)
    thread.join()
    assert len(set(seen)) > 10


WRITER = """
import sys
from pathlib import Path
import numpy as np
from tinyqueue.run.checkpoint import Checkpoint
from tinyqueue.run.checkpoints import Checkpoints

checkpoints = Checkpoints(Path(sys.argv[1]), keep=2)
newest = checkpoints.newest()
step = newest.env_steps if newest else 0
print("ready", flush=True)
while True:
    step += 1
    array = np.full(20_000, step, np.float32)
    checkpoints.save(Checkpoint(step, step, step, {"w": array}, {"s": array}, b"g" * 9999, {}))
    print(step, flush=True)
"""


@pytest.mark.faults
def test_a_killed_writer_leaves_whole_checkpoints_only(tmp_path):
    rng = random.Random(7)
    reader = CheckpointReader(tmp_path)
    said = half_written = 0
    for _ in range(KILLS):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert writer.stdout is not None
        with writer, writer.stdout:
            assert writer.stdout.readline() == "ready\n"
            # However slow the machine is, it has saved once or twice before it dies.
            saves = [writer.stdout.readline() for _ in range(rng.randrange(1, 3))]
            timer = threading.Timer(rng.uniform(0.0, 0.02), writer.kill)
            timer.start()
            lines = "".join([*saves, writer.stdout.read()]).rpartition("\n")[0].split()
            timer.join()
        said = int(lines[-1])
        half_written += sum(name.startswith(".") for name in os.listdir(tmp_path))
        newest = reader.newest()
        assert reader.warnings == []
        # One more may have been saved than said.
        assert said <= newest.env_steps <= said + 1
        assert newest.weights["w"][-1] == newest.env_steps
        assert all(reader.load(path) for path in reader.paths())
    assert said > KILLS
    assert half_written > 0  # or no kill came while a checkpoint was being written
    Checkpoints(tmp_path, keep=2)
    assert [name for name in os.listdir(tmp_path) if name.startswith(".")] == []


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_whose_state_is_not_finite_is_passed_over(checkpoints, value):
    # As an earlier version wrote them
    checkpoints.save(checkpoint(5))
    spoiled = checkpoint(10)
    spoiled.state["model/kernel"] = np.array([1.0, value], np.float32)
    checkpoints.save(spoiled)

    newest = checkpoints.newest()

    assert newest is not None
    assert newest.env_steps == 5
    assert "model/kernel holds NaN or infinity" in checkpoints.warnings[0]
