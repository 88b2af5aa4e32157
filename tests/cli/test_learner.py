"""``tinyqueue learner``: who trains what, asking it to stop, and which run goes on."""

import json
from contextlib import closing
from pathlib import Path

import pytest
from balancing import RUN, graph, spec

from tinyqueue.catalogue import make_experiment
from tinyqueue.cli import learner as learner_command
from tinyqueue.cli.experiments import configured, new_run
from tinyqueue.cli.learner import _as_given
from tinyqueue.errors import ServiceUnreachableError
from tinyqueue.run.outcome import Outcome
from tinyqueue.run.run_directory import RunDirectory
from tinyqueue.store.client import connect
from tinyqueue.store.lease import LearnerLease
from tinyqueue.store.specs import SpecStore


@pytest.fixture
def store(monkeypatch, redis_url):
    monkeypatch.setenv("TINYQUEUE_REDIS_URL", redis_url)
    with connect(redis_url) as client:
        yield client


@pytest.fixture
def lease(store):
    lease = LearnerLease(store, "pole", RUN, "node-a run runs/pole/1")
    lease.acquire(4)
    yield lease
    lease.release()


@pytest.fixture
def trained(monkeypatch):
    """What was trained instead of training: experiment, run directory, layout."""
    calls = []

    def train(experiment, run, settings, view, where):
        calls.append((experiment, run.path, where))
        return Outcome("stopped", 80, 10, 9, 1.5)

    monkeypatch.setattr(learner_command, "train_here", train)
    return calls


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "pole.toml"
    path.write_text('name = "pole"\n[environment]\nid = "CartPole-v1"\n')
    return path


def test_status_names_the_learner_of_every_experiment(tinyqueue, store, lease):
    SpecStore(store).publish(spec("pole"), graph(), lease.epoch)
    SpecStore(store).publish(spec("another"), graph())

    said = tinyqueue("learner", "status").out.splitlines()

    assert said[0] == "another: no learner"
    assert said[1].startswith("pole: node-a run runs/pole/1 on ")


def test_status_of_one_experiment_as_json(tinyqueue, lease):
    found = json.loads(tinyqueue("learner", "status", "pole", "--json").out)

    assert found["pole"]["holder"] == "node-a run runs/pole/1"
    assert found["pole"]["epoch"] == 5
    assert json.loads(tinyqueue("learner", "status", "other", "--json").out) == {"other": None}


def test_status_of_an_empty_store_says_what_to_start(tinyqueue, store):
    assert "tinyqueue learner start FILE.toml" in tinyqueue("learner", "status").out


def test_stop_reaches_the_learner_through_the_lease(tinyqueue, lease):
    said = tinyqueue("learner", "stop", "pole")

    assert "asked node-a run runs/pole/1" in said.out
    lease.renew()
    assert lease.stop_requested


def test_stopping_what_does_not_run_is_an_error(tinyqueue, store):
    said = tinyqueue("learner", "stop", "pole")

    assert said.code == 1
    assert "no learner trains 'pole'" in said.err


def test_start_makes_a_run_and_then_goes_on_with_it(tinyqueue, file, trained):
    assert tinyqueue("learner", "start", file).code == 0
    assert tinyqueue("learner", "start", file).code == 0
    assert tinyqueue("learner", "start", file, "--new").code == 0

    runs = [str(path) for _, path, _ in trained]
    assert runs == ["runs/pole/1", "runs/pole/1", "runs/pole/2"]
    (where,) = {where for _, _, where in trained}
    assert (where.services, where.players) == ("configured", 0)


def test_a_run_goes_on_with_its_copy_of_a_file_and_says_when_that_has_changed(
    tinyqueue, file, trained, tmp_path
):
    own = tmp_path / "own.py"
    own.write_text("from tinyqueue.algorithms.ppo import Ppo\nclass Mine(Ppo): pass\n")
    file.write_text(file.read_text() + '[algorithm]\nname = "own.py:Mine"\n')
    tinyqueue("learner", "start", file)
    assert "has changed" not in tinyqueue("learner", "start", file).out

    own.write_text("from tinyqueue.algorithms.ppo import Ppo\nclass Mine(Ppo): x = 2\n")
    changed = tinyqueue("learner", "start", file)
    taken = tinyqueue("learner", "start", "--resume", "runs/pole/1",
                      "--set", f"algorithm.name={own}:Mine")  # fmt: skip

    assert f"{own} has changed, and the run goes on with its own copy" in changed.out
    assert "has changed" not in taken.out
    copies = tmp_path / "runs/pole/1/algorithm"
    names = [experiment.algorithm_name for experiment, _, _ in trained]
    assert names == [f"{copies}/own.py:Mine"] * 3 + [f"{copies}/2/own.py:Mine"]


def test_a_run_that_dropped_something_unasked_is_still_the_same_experiment():
    experiment = make_experiment({"environment": {"id": "CartPole-v1"}})
    kept = make_experiment({"environment": {"id": "CartPole-v1", "drop": ["mission"]}})
    assert _as_given(kept, experiment) == experiment.document()

    named = make_experiment({"environment": {"id": "CartPole-v1", "drop": ["name"]}})
    assert _as_given(kept, named) != named.document()


def test_a_run_whose_shape_was_chosen_at_start_is_still_the_same_experiment():
    experiment = make_experiment({"environment": {"id": "CartPole-v1"}})
    chosen = {"session": {"slots": 4, "task_limit_s": 50.0}, "evaluation": {"episodes": 12}}
    kept = make_experiment({**experiment.document(), **chosen})
    assert _as_given(kept, experiment) == experiment.document()

    wanted = make_experiment({"environment": {"id": "CartPole-v1"}, "session": {"slots": 8}})
    assert _as_given(kept, wanted) != wanted.document()


def test_a_setting_that_is_left_out_now_and_is_never_chosen_makes_another_experiment():
    kept = make_experiment({"environment": {"id": "CartPole-v1", "max_episode_steps": 200}})
    experiment = make_experiment({"environment": {"id": "CartPole-v1"}})

    assert _as_given(kept, experiment) != experiment.document()


def test_other_settings_do_not_go_on_with_a_run(tinyqueue, file, trained):
    tinyqueue("learner", "start", file)

    said = tinyqueue("learner", "start", file, "--set", "algorithm.gamma=0.5")

    assert said.code == 1
    assert "algorithm.gamma was 0.98 and is 0.5" in said.err
    assert "--resume runs/pole/1" in said.err
    assert "--new" in said.err
    assert len(trained) == 1


def test_resume_goes_on_with_changes(tinyqueue, file, trained):
    tinyqueue("learner", "start", file)

    said = tinyqueue(
        "learner",
        "start",
        "--resume",
        "runs/pole/1",
        "--max-env-steps",
        99,
        "--set",
        "learner.keep_checkpoints=7",
    )

    assert said.code == 0, said.err
    experiment = trained[1][0]
    assert experiment.stop.max_env_steps == 99
    assert experiment.learner.keep_checkpoints == 7


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "nothing to train"),
        (("--resume", "runs/pole/1", "--new"), "either --new or --resume RUN"),
        (("pole.toml", "--resume", "runs/pole/1"), "not both"),
    ],
)
def test_what_contradicts_itself_is_refused(tinyqueue, file, trained, words, said):
    result = tinyqueue("learner", "start", *words)

    assert result.code == 1
    assert said in result.err
    assert trained == []


def test_runs_may_be_elsewhere(tinyqueue, file, trained, tmp_path):
    tinyqueue("learner", "start", file, "--runs-dir", tmp_path / "elsewhere")

    assert RunDirectory.newest(tmp_path / "elsewhere", "pole") is not None


def test_the_result_alone_is_on_stdout(tinyqueue, file, trained):
    said = tinyqueue("learner", "start", file, "--json")

    assert json.loads(said.out)["ended"] == "stopped"
    assert "CartPole-v1 with impala (ppo if its actions are real numbers), from" in said.err


def test_a_run_in_use_is_refused(tinyqueue, file, trained, tmp_path):
    document = {"name": "pole", "environment": {"id": "CartPole-v1"}}
    run, _ = new_run(tmp_path / "runs", configured(document))

    said = tinyqueue("learner", "start", file)
    run.close()

    assert said.code == 1
    assert "in use" in said.err


def test_a_note_is_appended_whenever_it_is_given(tinyqueue, file, trained, tmp_path):
    assert tinyqueue("learner", "start", file, "--note", "first").code == 0
    assert tinyqueue("learner", "start", file, "--note", "second").code == 0
    assert tinyqueue("learner", "start", "--resume", "runs/pole/1", "--note", "third").code == 0

    ((_, path, _), *_) = trained
    lines = (tmp_path / path / "notes.md").read_text().splitlines()
    assert [line for line in lines if line and not line.startswith("##")] == [
        "first",
        "second",
        "third",
    ]


def test_an_empty_note_begins_no_run(tinyqueue, file, trained, tmp_path):
    said = tinyqueue("learner", "start", file, "--note", " ")

    assert "the note is empty" in said.err
    assert not (tmp_path / "runs").exists()


def test_a_run_remembers_what_it_started_from(tinyqueue, file, trained):
    sample = Path(__file__).resolve().parents[2] / "samples" / "pong"
    assert tinyqueue("learner", "start", file, "--init-from", sample).code == 0
    assert tinyqueue("learner", "start", file, "--init-from", sample).code == 0
    assert [str(path) for _, path, _ in trained] == ["runs/pole/1"] * 2
    with closing(RunDirectory.open(trained[0][1])) as run:
        assert run.info()["init_from"] == str(sample)

    tinyqueue("learner", "start", file, "--new")
    said = tinyqueue("learner", "start", file, "--init-from", sample)

    assert "runs/pole/2, the newest run, was not started from" in said.err
    assert "--new" in said.err


def test_a_new_run_is_not_named_before_it_trains(tinyqueue, file, monkeypatch):
    def refuses(experiment, run, settings, view, where):
        run.discard_unless_begun()
        raise ServiceUnreachableError("the broker does not answer.")

    monkeypatch.setattr(learner_command, "train_here", refuses)

    refused = tinyqueue("learner", "start", file)

    assert refused.code == 1
    assert "CartPole-v1 with impala" in refused.out
    assert "runs/pole" not in refused.out + refused.err


def test_a_run_that_goes_on_is_named(tinyqueue, file, trained):
    tinyqueue("learner", "start", file)

    again = tinyqueue("learner", "start", file)

    assert "; runs/pole/1" in again.out.splitlines()[0]


@pytest.mark.parametrize("is_kept", [False, True])
def test_an_interruption_says_what_there_is(tinyqueue, file, monkeypatch, is_kept):
    def interrupted(experiment, run, settings, view, where):
        if not is_kept:
            run.discard_unless_begun()
        raise KeyboardInterrupt

    monkeypatch.setattr(learner_command, "train_here", interrupted)

    ended = tinyqueue("learner", "start", file)

    assert ended.code == 130
    assert ended.err.strip() == (
        "stopped. What was saved until now is in runs/pole/1."
        if is_kept
        else "stopped. Nothing was saved, as nothing was trained yet."
    )


def test_an_interruption_before_there_is_a_run_says_that_nothing_is_saved(
    tinyqueue, file, monkeypatch
):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("tinyqueue.cli.options.find_document", interrupted)

    ended = tinyqueue("learner", "start", file)

    assert ended.err.strip() == "stopped. Nothing was saved, as nothing was trained yet."
