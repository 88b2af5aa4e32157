"""A replay that cannot work, or a session log of another run: said at the start, in a sentence."""

import sqlite3

import pytest

from tinyqueue.cli.experiments import configured, find_document
from tinyqueue.ledger.ledger import Ledger
from tinyqueue.run.run_directory import RunDirectory

PRESET = ("learner", "start", "cartpole-dqn")


@pytest.fixture
def services(monkeypatch, redis_server):
    monkeypatch.setenv("TINYQUEUE_BROKER_URL", redis_server.broker_url)
    monkeypatch.setenv("TINYQUEUE_REDIS_URL", redis_server.redis_url)


@pytest.fixture
def run(tmp_path):
    """A run of the preset that was stopped before it trained."""
    experiment = configured(find_document("cartpole-dqn")[0])
    run = RunDirectory.create(tmp_path / "runs", experiment.document(), {})
    Ledger(run.path / "sessions.db", experiment="cartpole-dqn", run=run.run_id).close()
    run.close()
    return run.path


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            ("replay.capacity_steps=100", "replay.minimum_steps=1"),
            "holds 1 session batches of 8 ticks × 8 slots; it needs room for at least two",
        ),
        (
            ("replay.capacity_steps=640", "replay.minimum_steps=1000"),
            "replay.minimum_steps = 1000 can never be reached",
        ),
        (
            ("replay.capacity_steps=128", "replay.minimum_steps=1", "algorithm.batch_size=256"),
            "a replay of 128 env steps is smaller than one sample of 256",
        ),
    ],
)
def test_a_replay_that_is_too_small_is_an_error_at_the_start(
    tinyqueue, services, tmp_path, changes, said
):
    words = [word for change in changes for word in ("--set", change)]

    result = tinyqueue(*PRESET, *words)

    assert result.code == 1
    assert "error: " in result.err
    assert said in result.err
    assert "Traceback" not in result.err
    # A restart goes on with the newest run; what was refused is none.
    assert not (tmp_path / "runs" / "cartpole-dqn").exists()


def test_the_session_log_of_another_run_is_refused_with_both_named(tinyqueue, services, run):
    (run / "sessions.db").unlink()
    Ledger(run / "sessions.db", experiment="pong-apex", run="f00d").close()

    result = tinyqueue("learner", "start", "--resume", run)

    assert result.code == 1
    assert "holds sessions of experiment 'pong-apex', run f00d" in result.err
    assert "this is experiment 'cartpole-dqn', run " in result.err


def test_a_session_log_of_another_schema_is_refused_with_both_named(tinyqueue, services, run):
    with sqlite3.connect(run / "sessions.db") as database:
        database.execute("PRAGMA user_version = 9")
    database.close()

    result = tinyqueue("learner", "start", "--resume", run)

    assert result.code == 1
    assert "has schema 9; this tinyqueue reads 3" in result.err
