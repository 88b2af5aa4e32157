"""What a run tells: its files, its status, its view."""

import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from stateless_source import taken

from tinyqueue.data.pace import Pace
from tinyqueue.evaluation.evaluated import Evaluated
from tinyqueue.learner.reporter import Reporter
from tinyqueue.ledger.marks import Count
from tinyqueue.monitor.metrics import EpisodeColumn, EvaluationField, Metric
from tinyqueue.run.checkpoint import Checkpoint
from tinyqueue.run.run_directory import RunDirectory
from tinyqueue.wire.evaluations import EvaluationResult

COUNT = Count(
    attempted=10, accepted=5, set_aside={"reward": 1}, dropped={"stale": 2, "other": 1}, missing=1
)


@pytest.fixture
def run(tmp_path):
    run = RunDirectory.create(tmp_path, {"name": "pole"}, {})
    yield run
    run.close()


@pytest.fixture
def updater(make_updater):
    return make_updater()


@pytest.fixture
def reporter(make_experiment_of, run, view, updater):
    return Reporter(
        make_experiment_of(learner={"log_every_s": 1e-9}, stop={"max_env_steps": 1000}),
        run,
        view,
        updater,
        threshold=475.0,
        services="rabbitmq",
        sources=lambda: {
            Metric.QUEUE_DEPTH: 2,
            Metric.PLAYERS: 3,
            Metric.TASKS_OUTSTANDING: 6,
        },
        count=lambda: COUNT,
    )


def made(experiment, run, view, updater):
    """A reporter of another experiment."""
    return Reporter(
        experiment,
        run,
        view,
        updater,
        threshold=475.0,
        services="none",
        sources=dict,
        count=None,
    )


def lines(run, stream):
    path = run.path / f"{stream}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def evaluated(mean=480.0, env_steps=5000):
    returns = np.array([mean - 20, mean + 20], np.float32)
    result = EvaluationResult(
        "ask", "pole", "r", 7, returns, np.array([100, 300], np.int32), 1.5, "host:1"
    )
    return Evaluated(Checkpoint(env_steps, 3, 7, {}, {}, b"", {}), result)


def test_a_view_of_a_resumed_run_is_given_the_first_mean_of_the_run(
    reporter, view, updater, make_batch
):
    updater.clock.first_mean = 9.5
    reporter.trained([make_batch(0, returns=[12.0])])

    assert view.snapshots[-1].first_mean == 9.5


def test_a_line_of_metrics_holds_the_documented_names(reporter, run, updater, make_batch):
    updater.update(taken([make_batch(0, returns=[12.0])]))
    reporter.trained([make_batch(0, returns=[12.0])])

    line = lines(run, "metrics")[-1]
    known = [str(name) for name in Metric]
    assert set(line) <= set(known)
    # All that do not belong to one algorithm are in every line.
    assert known[: known.index("loss") + 1] == [name for name in known if name in line]
    assert (line["env_steps"], line["updates"], line["return_mean"]) == (7, 1, 12.0)
    assert (line["queue_depth"], line["players"], line["tasks_outstanding"]) == (2, 3, 6)
    assert [line[f"batches_{fate}"] for fate in ("attempted", "accepted", "set_aside")] == [
        10,
        5,
        1,
    ]
    assert (line["batches_dropped"], line["batches_missing"]) == (3, 1)


def test_the_pace_of_an_environment_with_a_clock_is_reported(reporter, run, view, make_batch):
    plain = make_batch(0)
    paces = Pace(10, 1.0, 2.0, 9.0, 3, 1), Pace(30, 5.0, 6.0, 7.0, 4, 0)
    reporter.trained([plain])
    assert "missed_ticks" not in lines(run, "metrics")[-1]
    assert view.snapshots[-1].pace is None

    for pace in paces:
        reporter.trained([replace(plain, header=replace(plain.header, pace=pace))])

    line = lines(run, "metrics")[-1]
    names = ("action_ms_p50", "action_ms_p99", "action_ms_worst", "missed_ticks", "late_ticks")
    # (10·1 + 30·5) / 40 and (10·2 + 30·6) / 40.
    assert [line[name] for name in names] == [4.0, 5.0, 9.0, 7, 1]
    assert reporter.status()["missed_ticks"] == 7
    assert view.snapshots[-1].pace == Pace(40, 4.0, 5.0, 9.0, 7, 1)


@pytest.mark.parametrize(
    ("batches", "faults", "where", "is_spoiled"),
    [
        (9, 1, "step 3", False),
        (10, 1, "step 3", True),
        (30, 0, "step 3", False),
        # A reset that fails is tried again, and ends no episode.
        (30, 1, "reset", False),
    ],
)
def test_a_run_whose_environment_failed_for_every_episode_is_spoiled(
    reporter, make_batch, batches, faults, where, is_spoiled
):
    sound = make_batch(0, returns=[12.0])
    fault = f"Maze-v3 failed in {where}: OSError: lost"
    header = replace(sound.header, faults=faults, fault=fault)

    reporter.trained([replace(sound, header=header)] * batches)

    assert bool(reporter.spoiled) is is_spoiled


def test_faults_of_environments_are_counted_and_remarked_on(reporter, run, make_batch):
    sound = make_batch(0, returns=[12.0, 9.0])
    header = replace(sound.header, faults=1, fault="Maze-v3 failed in step 3: OSError: lost")
    broken = replace(sound, header=header)
    reporter.trained([sound])
    assert reporter.closing_remarks() == reporter.status()["remarks"] == []

    reporter.trained([broken, sound])

    assert lines(run, "metrics")[-1]["environment_faults"] == 1
    assert reporter.closing_remarks() == reporter.status()["remarks"]
    assert reporter.closing_remarks() == [
        "the environment failed once in 6 training episodes (16.7 %), first: Maze-v3 failed in "
        "step 3: OSError: lost; returns include episodes that were cut off"
    ]

    reporter.trained([sound] * 20)
    assert not reporter.spoiled
    (remark,) = reporter.closing_remarks()
    assert remark.endswith("(2.2 %), first: Maze-v3 failed in step 3: OSError: lost")


def test_before_the_first_episode_the_mean_is_null(reporter, run, make_batch):
    reporter.trained([make_batch(0)])

    assert lines(run, "metrics")[-1]["return_mean"] is None


def test_episodes_are_written_with_the_clock_of_when_they_came(reporter, run, updater, make_batch):
    batches = [make_batch(0, returns=[12.0, 9.0]), make_batch(1), make_batch(2, returns=[3.0])]
    for batch in batches:
        updater.update(taken([batch]))
        reporter.trained([batch])
    reporter.close()

    written = lines(run, "episodes")
    always = {str(name) for name in EpisodeColumn} - {EpisodeColumn.INFO.value}
    assert all(set(line) == always for line in written)
    assert [value for line in written for value in line["returns"]] == [12.0, 9.0, 3.0]
    assert written[-1]["env_steps"] == updater.clock.env_steps == 6 + 8 + 7
    assert sum(len(line["lengths"]) for line in written) == 3


def test_an_evaluation_is_written_and_said(reporter, run, view):
    reporter.is_evaluating = True

    reporter.evaluated(evaluated(), threshold=475.0)

    (line,) = lines(run, "evaluations")
    assert set(line) == {str(name) for name in EvaluationField}
    assert (line["return_mean"], line["return_min"], line["return_max"]) == (480.0, 460.0, 500.0)
    assert (line["env_steps"], line["policy_version"], line["episodes"]) == (5000, 7, 2)
    assert (line["length_mean"], line["level"]) == (200.0, 475.0)
    assert "greedy mean of 2 games: 480.0 (version 7, 5,000 env steps)" in view.messages
    assert not reporter.is_evaluating

    reporter.evaluated(evaluated(), threshold=475.0)
    assert view.messages[-1].startswith("fresh greedy mean of 2 games: 480.0 (version 7")


def test_the_view_is_told_what_does_not_change_first(reporter, view):
    assert view.header.experiment == "pole"
    assert view.header.environment == "CartPole-v1"
    assert (view.header.level, view.header.max_env_steps) == (475.0, 1000)
    assert view.header.services == "rabbitmq"


def test_the_view_gets_snapshots_when_it_wants_them(reporter, view, updater, make_batch):
    view.is_due = False
    reporter.look()
    assert view.snapshots == []

    view.is_due = True
    updater.update(taken([make_batch(0, returns=[12.0])]))
    reporter.evaluated(evaluated(), threshold=475.0)
    reporter.look()

    (snapshot,) = view.snapshots
    assert (snapshot.env_steps, snapshot.return_mean, snapshot.greedy_mean) == (7, 12.0, 480.0)
    assert (snapshot.queue_depth, snapshot.players) == (2, 3)
    assert (snapshot.batches_set_aside, snapshot.batches_dropped) == (1, 3)


def test_the_view_knows_that_the_first_batch_has_not_come(reporter, view, make_batch):
    reporter.look()
    reporter.trained([make_batch(0)])

    assert [snapshot.is_waiting for snapshot in view.snapshots] == [True, False]


@pytest.mark.parametrize(
    ("log", "players", "said"),
    [
        (None, 0, "Players: celery -A tinyqueue worker -Q play; see their logs"),
        (
            None,
            1,
            "The player that sent the last ones is silent: an environment may be slow or hang; "
            "see the log of each worker",
        ),
        (
            None,
            3,
            "3 players sent the last ones and are silent: an environment may be slow or hang; "
            "see the log of each worker",
        ),
        (Path("here") / "players.log", 1, "The players' log is here/players.log"),
    ],
)
def test_a_long_silence_is_explained_again_ever_more_rarely(
    make_experiment_of, run, view, updater, monkeypatch, log, players, said
):
    now_s = [1000.0]
    monkeypatch.setattr("tinyqueue.learner.reporter.time.monotonic", lambda: now_s[0])
    reporter = Reporter(
        make_experiment_of(),
        run,
        view,
        updater,
        threshold=None,
        services="rabbitmq",
        sources=lambda: {Metric.PLAYERS: players},
        count=None,
        players_log=log,
    )

    for _ in range(200):
        now_s[0] += 1.0
        reporter.waited()

    assert view.messages == [
        f"no session batch has arrived for {seconds} s. {said}"
        for seconds in (16, 31, 61, 121, 181)
    ]


def test_a_silence_that_went_by_unseen_is_told_once(reporter, view, monkeypatch):
    """As during an evaluation, or an update that takes long."""
    now_s = [time.monotonic()]
    monkeypatch.setattr("tinyqueue.learner.reporter.time.monotonic", lambda: now_s[0])
    for passed_s in (32.0, 0.5, 0.5, 26.0, 3.0):
        now_s[0] += passed_s
        reporter.waited()

    silent = [said.partition(".")[0] for said in view.messages]
    assert silent == [f"no session batch has arrived for {s} s" for s in (32, 62)]


def test_a_silence_because_no_tasks_can_be_sent_says_so(reporter, view, monkeypatch):
    later_s = time.monotonic() + 16.0
    monkeypatch.setattr("tinyqueue.learner.reporter.time.monotonic", lambda: later_s)
    reporter.no_tasks = "the broker accepts no messages: it is short of memory or disk."
    reporter.waited()

    assert view.messages == [
        "no session batch has arrived for 16 s. Players get no tasks: the broker accepts no "
        "messages: it is short of memory or disk."
    ]


def test_the_status_is_json_from_the_start(reporter, run):
    status = json.loads(json.dumps(reporter.status(), allow_nan=False))

    assert status["return_mean"] is None
    assert (status["experiment"], status["environment"]) == ("pole", "CartPole-v1")
    assert status["run"] == run.run_id
    assert status["queue_depth"] == 2
    assert status["count"] == {
        "attempted": 10,
        "accepted": 5,
        "set_aside": {"reward": 1},
        "dropped": {"stale": 2, "other": 1},
        "missing": 1,
        "duplicates": 0,
        "late_drops": 0,
        "withdrawn": 0,
        "env_steps": 0,
        "unbalanced": 0,
    }


def test_scalars_reach_tensorboard(reporter, run, make_batch):
    reporter.trained([make_batch(0)])
    reporter.close()

    (events,) = (run.path / "tb").iterdir()
    assert b"train/env_steps" in events.read_bytes()
    # A mean that is not there yet is left out.
    assert b"train/return_mean" not in events.read_bytes()


def test_rates_are_those_between_updates_however_often_the_view_looks(
    reporter, updater, view, make_batch, monkeypatch
):
    now_s = [1000.0]
    monkeypatch.setattr("tinyqueue.learner.reporter.time.monotonic", lambda: now_s[0])
    for _ in range(4):
        reporter.trained([make_batch(0)])
        for _ in range(3):
            now_s[0] += 1.0
            reporter.look()
        updater.clock.env_steps += 2048
        updater.clock.updates += 1

    rates = [(s.env_steps_per_s, s.updates_per_s) for s in view.snapshots]
    # One look right after an update and three until the next.
    assert rates[:4] == [(0.0, 0.0)] * 4
    assert rates[4:] == [(pytest.approx(2048 / 3), pytest.approx(1 / 3))] * 12


def test_numbers_of_info_are_in_episodes_and_their_means_in_metrics(
    make_experiment_of, run, view, updater, make_batch
):
    experiment = make_experiment_of(
        learner={"log_every_s": 1e-9}, metrics={"info": ["x"]}, stop={"max_env_steps": 1000}
    )
    reporter = made(experiment, run, view, updater)
    batch = make_batch(0, returns=[12.0, 9.0])
    numbers = {"info_last": np.array([[1], [3]], "f4"), "info_mean": np.array([[5], [6]], "f4")}

    reporter.trained([replace(batch, episodes=replace(batch.episodes, **numbers))])
    reporter.trained([batch])
    reporter.close()

    written = [line["info"] for line in lines(run, "episodes")]
    assert [value for info in written for value in info["x"]] == [1.0, 3.0, None, None]
    assert [value for info in written for value in info["x_mean"]] == [5.0, 6.0, None, None]
    last = lines(run, "metrics")[-1]
    assert (last["info/x"], last["info/x_mean"]) == (2.0, 5.5)
    assert sum("'x' was missing" in text for text in view.messages) == 1
    assert "2 of 4 training episodes" in reporter.closing_remarks()[0]


def test_a_run_that_is_judged_elsewhere_shows_no_progress_to_its_level(
    make_experiment_of, run, view, updater
):
    experiment = make_experiment_of(
        evaluation={"environment": {"kwargs": {"sutton_barto_reward": True}}}
    )

    made(experiment, run, view, updater)

    assert view.header.level is None
