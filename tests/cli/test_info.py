"""``tinyqueue info``: of a store, of a run directory, of nothing."""

import json

import pytest
from balancing import graph, spec, version
from published_status import STATUS

from tinyqueue.ledger.ledger import Ledger
from tinyqueue.ledger.marks import Count, Mark
from tinyqueue.run.notes import add_note
from tinyqueue.run.run_directory import RunDirectory
from tinyqueue.store.client import connect
from tinyqueue.store.lease import LearnerLease
from tinyqueue.store.specs import SpecStore
from tinyqueue.store.status import StatusBoard
from tinyqueue.store.weights import WeightStore


@pytest.fixture
def store(monkeypatch, redis_url):
    monkeypatch.setenv("TINYQUEUE_REDIS_URL", redis_url)
    with connect(redis_url) as client:
        yield client


@pytest.fixture
def trained(store):
    """An experiment whose learner has written a status."""
    SpecStore(store).publish(spec(), graph())
    WeightStore(store, "pole").publish(version(12))
    StatusBoard(store).write("pole", STATUS, 60.0, epoch=1)
    return store


def test_the_size_of_a_replay_is_shown(tinyqueue, trained):
    status = {**STATUS, "replay_items": 9_400.0, "replay_env_steps": 10_089.0}
    StatusBoard(trained).write("pole", status, 60.0, epoch=1)

    assert "9,400 items of 10,089 env steps" in tinyqueue("info").out


def test_how_soon_an_environment_with_a_clock_gets_its_actions_is_shown(tinyqueue, trained):
    ms = {"action_ms_p50": 1.25, "action_ms_p99": 3.4, "action_ms_worst": 15.0}
    status = {**STATUS, **ms, "missed_ticks": 1200, "late_ticks": 7}
    StatusBoard(trained).write("pole", status, 60.0, epoch=1)

    said = tinyqueue("info").out
    assert "1.2 ms, p99 3.4 ms, worst 15.0 ms" in said
    assert "1,200 by its own count, 7 late as measured" in said


def test_without_services_the_store_is_named_and_what_to_do(tinyqueue, monkeypatch):
    monkeypatch.setenv("TINYQUEUE_REDIS_URL", "redis://me:secret@localhost:1/0")

    said = tinyqueue("info")

    assert said.code == 1
    assert said.err.startswith("error: Redis at redis://me:***@localhost:1/0 does not answer")
    assert "secret" not in said.err
    assert "tinyqueue info runs/<experiment>/<number>" in said.err


def test_an_empty_store_says_what_to_start(tinyqueue, store):
    assert "tinyqueue learner start FILE.toml" in tinyqueue("info").out
    assert json.loads(tinyqueue("info", "--json").out) == {}


def test_an_experiment_is_shown_with_its_learner_and_its_count(tinyqueue, trained, monkeypatch):
    lease = LearnerLease(trained, "pole", "e" * 32, "node-a run runs/pole/1")
    lease.acquire(4)
    monkeypatch.setenv("COLUMNS", "160")

    out = tinyqueue("info").out
    lease.release()

    rows = dict(line.strip("│ ").split("│", 1) for line in out.splitlines() if "│" in line)
    rows = {key.strip(): value.strip() for key, value in rows.items()}
    assert rows["learner"].startswith("node-a run runs/pole/1")
    assert rows["newest version"] == "12"
    assert rows["players"] == "3"
    assert rows["env steps"] == "123,456  (5,000/s)"
    assert rows["return"] == "21.2, mean of the last 40 training episodes"
    assert rows["policy lag"] == "1.5 versions"
    assert rows["queue depth"] == "2 batches"
    assert rows["remark"] == "the environment failed 1 times"
    assert rows["attempted"] == "9  (balanced)"
    assert rows["= accepted"] == "5"
    assert rows["+ set aside"] == "1  reward: 1"
    assert rows["+ dropped"] == "2  stale: 2"
    assert rows["+ missing"].startswith("1  ")


def test_json_holds_everything(tinyqueue, trained):
    found = json.loads(tinyqueue("info", "--json").out)

    assert found["pole"] == {**STATUS, "learner": None, "head": 12}


def test_before_the_first_episode_there_is_no_mean(tinyqueue, trained):
    StatusBoard(trained).write("pole", {**STATUS, "return_mean": None}, 60.0, epoch=1)

    assert "no episode has ended yet" in tinyqueue("info").out


def test_a_count_that_is_off_stands_out(tinyqueue, trained):
    count = Count(attempted=9, accepted=5).document()
    StatusBoard(trained).write("pole", {**STATUS, "count": count}, 60.0, epoch=1)

    assert "OFF BY 4" in tinyqueue("info").out


def test_a_run_directory_is_counted_without_services(tinyqueue, tmp_path):
    run = tmp_path / "pole" / "1"
    run.mkdir(parents=True)
    with Ledger(run / "sessions.db", experiment="pole", run="1") as ledger:
        ledger.record([Mark(f"{'a' * 32}:2", "accepted", env_steps=8)])
        # While its learner goes on.
        found = json.loads(tinyqueue("info", run, "--json").out)

    count = found["pole"]["count"]
    assert (count["attempted"], count["accepted"], count["missing"]) == (3, 1, 2)
    assert found["pole"]["run_directory"] == str(run)
    assert found["pole"]["remarks"] == []


def test_the_remarks_on_a_runs_end_are_shown_with_its_count(tinyqueue, tmp_path):
    run = tmp_path / "pole" / "1"
    run.mkdir(parents=True)
    Ledger(run / "sessions.db", experiment="pole", run="1").close()
    (run / "outcome.json").write_text(json.dumps({"remarks": ["the environment failed 9 times"]}))

    assert "the environment failed 9 times" in tinyqueue("info", run).out


def test_how_a_run_ended_is_shown_with_its_reason(tinyqueue, tmp_path):
    run = tmp_path / "pole" / "1"
    run.mkdir(parents=True)
    Ledger(run / "sessions.db", experiment="pole", run="1").close()
    reason = "no session batch was accepted"
    (run / "outcome.json").write_text(json.dumps({"ended": "failed", "reason": reason}))

    assert f"failed: {reason}" in " ".join(tinyqueue("info", run).out.split())
    facts = json.loads(tinyqueue("info", run, "--json").out)["pole"]
    assert (facts["ended"], facts["reason"], facts["remarks"]) == ("failed", reason, [])


def test_a_folder_without_a_ledger_is_named(tinyqueue, tmp_path):
    (tmp_path / "experiment.toml").touch()

    said = tinyqueue("info", tmp_path)

    assert said.code == 1
    assert "holds no sessions.db" in said.err
    assert "There are no runs that have it in runs: `tinyqueue train CartPole-v1`" in said.err


def test_without_a_ledger_the_runs_that_have_one_are_named(tinyqueue, tmp_path):
    for number in ("1", "2"):
        (tmp_path / "runs" / "pole" / number).mkdir(parents=True)
        (tmp_path / "runs" / "pole" / number / "run.json").touch()
    (tmp_path / "runs" / "pole" / "1" / "sessions.db").touch()

    said = tinyqueue("info", "runs/pole/2")

    assert said.err.endswith("Runs in runs, the last trained first: runs/pole/1.\n")


@pytest.mark.parametrize("place", ["{run}/", "{run}", ".", "{run}/../1", "renamed"])
def test_a_run_answers_under_its_experiments_name_wherever_it_is(
    tinyqueue, tmp_path, monkeypatch, place
):
    run = RunDirectory.create(tmp_path / "runs", {"name": "pole"}, {})
    run.close()
    with Ledger(run.path / "sessions.db", experiment="pole", run=run.run_id):
        pass
    if place == ".":
        monkeypatch.chdir(run.path)
    if place == "renamed":
        run.path.parent.rename(tmp_path / "renamed")
        place = str(tmp_path / "renamed" / "1")

    said = tinyqueue("info", place.format(run=run.path), "--json")

    assert list(json.loads(said.out)) == ["pole"]


def test_the_newest_note_of_a_run_is_shown(tinyqueue, tmp_path):
    run = RunDirectory.create(tmp_path / "runs", {"name": "pole"}, {})
    run.close()
    with Ledger(run.path / "sessions.db", experiment="pole", run=run.run_id):
        pass
    assert "note" not in json.loads(tinyqueue("info", run.path, "--json").out)["pole"]

    add_note(run.path, "without the bonus")

    assert "without the bonus" in tinyqueue("info", run.path).out
    assert json.loads(tinyqueue("info", run.path, "--json").out)["pole"]["note"] == (
        "without the bonus"
    )
