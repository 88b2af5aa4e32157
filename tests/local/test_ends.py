"""However a run is ended from outside: it is saved, says no traceback, leaves nothing running."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import psutil
import pytest

from tinyqueue.local.redis_server import find_redis_server

pytestmark = pytest.mark.integration
SERIAL = ("--serial",)


@pytest.fixture
def started(tmp_path):
    """Starts a run that would go on for ever; waits until it trains; at the end nothing is left."""
    processes = []

    def start(*words, **options):
        command = [sys.executable, "-m", "tinyqueue.cli.main", "train", "CartPole-v1"]
        command += ["--stop-at-return", "1e6", "--set", "learner.checkpoint_every_s=1000", *words]
        process = subprocess.Popen(
            command, cwd=tmp_path, start_new_session=True, stdin=subprocess.DEVNULL, **options
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        assert not _left(process.pid)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


def _left(session):
    """Processes of a session that still run a moment after its leader has ended."""
    deadline_s = time.monotonic() + 5
    while True:
        left = [p.pid for p in psutil.process_iter() if _session(p.pid) == session]
        if not left or time.monotonic() > deadline_s:
            return left
        time.sleep(0.05)


def _session(pid):
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return 0


def _wait_until_it_trains(tmp_path):
    deadline_s = time.monotonic() + 90
    while not list(tmp_path.glob("runs/*/1/episodes.jsonl")):
        assert time.monotonic() < deadline_s
        time.sleep(0.05)


def _kept(tmp_path):
    (run,) = tmp_path.glob("runs/*/1")
    return SimpleNamespace(
        checkpoints=list((run / "checkpoints").iterdir()),
        outcome=json.loads((run / "outcome.json").read_text()),
    )


@pytest.mark.parametrize(
    "numbers",
    [
        (signal.SIGHUP,),
        (signal.SIGINT, signal.SIGINT),
        (signal.SIGTERM, signal.SIGHUP, signal.SIGINT),
    ],
)
def test_signals_end_a_run_with_a_checkpoint(started, tmp_path, numbers):
    with (tmp_path / "said").open("wb") as said:
        process = started(*SERIAL, stdout=said, stderr=said)
        _wait_until_it_trains(tmp_path)

        for number in numbers:
            os.killpg(process.pid, number)

        assert process.wait(60) == 0
    assert _kept(tmp_path).checkpoints
    assert "Traceback" not in (tmp_path / "said").read_text()


@pytest.mark.parametrize("words", [SERIAL, ("--players", "2")], ids=["serial", "players"])
def test_a_pipe_that_its_reader_closes_ends_a_run_with_a_checkpoint(started, tmp_path, words):
    if words != SERIAL:
        find_redis_server()
    process = started(*words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.readline()
    process.stdout.close()

    said = process.stderr.read()
    process.stderr.close()

    assert process.wait(90) == 1
    assert b"Traceback" not in said
    assert b"Exception ignored" not in said
    kept = _kept(tmp_path)
    assert kept.checkpoints
    assert kept.outcome["ended"] == "stopped"


def test_a_full_disk_behind_standard_output_keeps_no_run_from_its_end(started, tmp_path):
    with open("/dev/full", "wb") as full:
        process = started(*SERIAL, "--max-env-steps", "3000", stdout=full, stderr=subprocess.PIPE)
        said = process.stderr.read().decode()
        process.stderr.close()

    assert process.wait(60) == 1
    assert "the output cannot be written: No space left on device" in said
    assert "Traceback" not in said
    assert "Exception ignored" not in said
    assert _kept(tmp_path).outcome["ended"] == "max env steps"


def test_standard_output_and_error_that_are_closed_take_nothing_of_a_runs_files(started, tmp_path):
    def close():
        os.close(1)
        os.close(2)

    process = started(*SERIAL, "--max-env-steps", "3000", preexec_fn=close)

    assert process.wait(60) == 0
    assert _kept(tmp_path).outcome["ended"] == "max env steps"


def test_a_terminal_that_goes_away_ends_a_run_with_a_checkpoint(started, tmp_path):
    main, terminal = pty.openpty()
    process = started(*SERIAL, stdout=terminal, stderr=terminal)
    os.close(terminal)
    _wait_until_it_trains(tmp_path)
    os.close(main)
    os.killpg(process.pid, signal.SIGHUP)

    assert process.wait(60) in (0, 1)
    assert _kept(tmp_path).checkpoints
    assert not list(tmp_path.glob("core*"))


@pytest.mark.parametrize("preset", ["cartpole-impala", "cartpole-dqn"])
@pytest.mark.parametrize("words", [SERIAL, ("--players", "2")], ids=["serial", "players"])
def test_the_limit_of_env_steps_is_overshot_by_one_update_at_most(tmp_path, preset, words):
    limit = 3000
    command = [sys.executable, "-m", "tinyqueue.cli.main", "train", preset, *words, "--json"]
    command += ["--stop-at-return", "1e6", "--max-env-steps", str(limit)]
    command += ["--set", "evaluation.episodes=2", "--set", "evaluation.slots=2"]
    command += ["--set", "session.ticks=8", "--set", "session.slots=8"]

    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=120, check=True)

    assert limit <= json.loads(done.stdout)["env_steps"] < limit + 8 * 8
