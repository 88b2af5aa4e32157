"""What is said when training has ended."""

import dataclasses
import errno
import io
import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import gymnasium
import pytest

from tinyqueue.catalogue import make_experiment
from tinyqueue.cli.endings import document, sentences, tell
from tinyqueue.cli.resuming import longer
from tinyqueue.errors import DiskFullError
from tinyqueue.installing import install_command
from tinyqueue.ledger.ledger import Ledger
from tinyqueue.ledger.marks import Count, Mark
from tinyqueue.run.outcome import Outcome

SOLVED = Outcome(
    ended="solved",
    env_steps=530_354,
    updates=524,
    version=524,
    trained_s=10.04,
    threshold=475.0,
    deciding_mean=499.6,
    deciding_games=100,
    fresh_mean=498.2,
    fresh_games=100,
)
POLE = make_experiment({"environment": {"id": "CartPole-v1"}})
RESUME = ("tinyqueue", "train", "--resume")


@pytest.fixture
def run(tmp_path):
    path = tmp_path / "pole" / "1"
    (path / "tb").mkdir(parents=True)
    (path / "experiment.toml").write_text('name = "pole"\n')
    return path


def test_what_is_worth_trying_stands_among_the_closing_words():
    flat = replace(SOLVED, ended="max env steps", advice=("the return stays at 9", "worth trying"))
    assert sentences(flat, solved_s=None, count=None)[-2:] == list(flat.advice)
    assert document(flat, Path("run"))["advice"] == flat.advice


def episodes(run):
    line = {"env_steps": 10, "policy_version": 0, "returns": [9.0] * 20, "lengths": [9] * 20}
    (run / "episodes.jsonl").write_text(json.dumps(line) + "\n")


def test_a_disk_that_takes_nothing_more_keeps_nobody_from_reading_the_result(
    run, capsys, monkeypatch
):
    def no_room(path):
        raise DiskFullError("the ledger cannot be opened")

    (run / "sessions.db").touch()
    monkeypatch.setattr("tinyqueue.cli.endings.read_count", no_room)
    for name in ("outcome.json", "plots"):
        (run / name).symlink_to("/dev/full")

    tell(SOLVED, run, POLE, resume=RESUME, as_json=False)

    said = capsys.readouterr()
    assert said.out.startswith("solved: 499.6")
    assert "outcome.json is not written: No space left on device." in said.err


def test_a_solved_run_tells_both_sets_of_games_and_what_it_took():
    count = Count(attempted=804, accepted=800, set_aside={"reward": 1}, dropped={"stale": 3})

    assert sentences(SOLVED, solved_s=11.54, count=count) == [
        "solved: 499.6 ≥ 475, the greedy mean of 100 games",
        "498.2 over 100 fresh games of the same weights",
        "11.5 s after the command",
        "530,354 env steps, 524 updates until these weights, 10.0 s of training",
        "session batches: 804 attempted = 800 accepted + 1 set aside (reward: 1) + "
        "3 dropped (stale: 3) + 0 missing",
    ]


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        (
            Outcome("max env steps", 2048, 2, 2, 1.0, threshold=475.0),
            "the limit of env steps is reached; the level 475 is not reached",
        ),
        (
            Outcome("max env steps", 2048, 2, 2, 1.0, threshold=475.0, reason="no display"),
            "the limit of env steps is reached; the level 475 is not reached; the last weights "
            "were not evaluated: no display",
        ),
        (Outcome("stopped", 2048, 2, 2, 1.0), "stopped"),
    ],
)
def test_an_unsolved_run_says_why_it_ended(outcome, said):
    assert sentences(outcome, solved_s=None, count=None) == [
        said,
        "2,048 env steps, 2 updates, 1.0 s of training",
    ]


@pytest.mark.parametrize(
    ("episodes", "said"),
    [
        (100, "-12.5 is the mean return of the last 100 training episodes"),
        (1, "-12.5 is the mean return of one episode"),
    ],
)
def test_a_run_without_a_level_tells_its_training_return(episodes, said):
    outcome = Outcome("max env steps", 2048, 2, 2, 1.0)
    outcome = replace(outcome, training_mean=-12.5, training_episodes=episodes)

    assert said in sentences(outcome, solved_s=None, count=None)


def test_the_document_has_the_seconds_to_the_deciding_games(run):
    outcome = Outcome(**{**vars(SOLVED), "evaluated_at_s": time.time()})

    before = document(outcome, run)

    assert before["run_directory"] == str(run)
    assert before["solved_s"] > 0
    assert document(SOLVED, run)["solved_s"] is None


def test_the_count_of_the_ledger_is_told_and_a_curve_drawn(run, capsys):
    episodes(run)
    with Ledger(run / "sessions.db", experiment="pole", run="1") as ledger:
        ledger.record([Mark(f"{'a' * 32}:0", "accepted", env_steps=8)])

    tell(SOLVED, run, POLE, resume=RESUME, as_json=False)

    out = capsys.readouterr().out
    assert "session batches: 1 attempted = 1 accepted" in out
    assert f"learning curve: {run / 'plots' / 'learning_curve.png'}" in out
    assert f"tinyqueue evaluate {run} -n 100" in out
    assert f"tinyqueue train --resume {run}" in out


def test_the_document_alone_is_printed_as_json_and_kept(run, capsys):
    episodes(run)

    tell(SOLVED, run, POLE, resume=RESUME, as_json=True)

    printed = json.loads(capsys.readouterr().out)
    assert printed["deciding_mean"] == 499.6
    assert json.loads((run / "outcome.json").read_text()) == printed
    assert (run / "plots" / "learning_curve.png").exists()


def test_a_run_in_which_no_episode_ended_has_no_curve(run, capsys):
    tell(Outcome("stopped", 0, 0, 0, 0.0), run, POLE, resume=RESUME, as_json=False)

    said = capsys.readouterr().out
    assert f"learning curve: none: {run} holds no finished episode" in said
    assert f"Let it train for longer: tinyqueue train --resume {run}\n" in said


def test_without_matplotlib_the_extra_is_named(run, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.backends.backend_agg", None)
    episodes(run)

    tell(SOLVED, run, POLE, resume=RESUME, as_json=False)

    said = capsys.readouterr().out
    assert f"{install_command('plot')}, then tinyqueue plot {run}\n" in said


def test_a_curve_that_cannot_be_written_is_drawn_later(run, capsys):
    episodes(run)
    (run / "plots").write_text("in the way of the folder")

    tell(SOLVED, run, POLE, resume=RESUME, as_json=False)

    said = capsys.readouterr().out
    assert f"{run / 'plots' / 'learning_curve.png'} cannot be written (File exists)" in said
    assert f"Fix that, then tinyqueue plot {run}\n" in said


def next_of(outcome, run, document, resume, capsys):
    tell(outcome, run, make_experiment(document), resume=resume, as_json=False)
    return [line.strip() for line in capsys.readouterr().out.partition("next:\n")[2].splitlines()]


def test_what_comes_next_plays_as_many_games_as_an_evaluation_and_films_some(
    run, capsys, monkeypatch
):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    document = {"environment": {"id": "CartPole-v1"}, "evaluation": {"episodes": 30}}
    resume = ("tinyqueue", "train", "--players", "3", "--resume")

    assert next_of(SOLVED, run, document, resume, capsys) == [
        f"tinyqueue evaluate {run} -n 30",
        f"tinyqueue record {run}",
        f"tinyqueue train --players 3 --resume {run}",
        f"tensorboard --logdir {run / 'tb'}",
    ]


def test_what_comes_next_names_the_modules_that_this_command_was_given(run, capsys, monkeypatch):
    monkeypatch.setenv("TINYQUEUE_ENVIRONMENT_MODULES", "store,my.envs")
    monkeypatch.setenv("PYTHONPATH", "envs")
    said = next_of(SOLVED, run, {"environment": {"id": "CartPole-v1"}}, RESUME, capsys)
    *tinyqueue, curves = said
    assert all(
        line.startswith("TINYQUEUE_ENVIRONMENT_MODULES=store,my.envs PYTHONPATH=envs tinyqueue ")
        for line in tinyqueue
    )
    assert curves.startswith("tensorboard ")


def test_a_run_that_learned_nothing_yet_can_only_go_on(run, capsys):
    outcome = Outcome("stopped", 0, 0, 1, 0.0)

    said = next_of(outcome, run, {"environment": {"id": "CartPole-v1"}}, RESUME, capsys)

    assert said == [f"tinyqueue train --resume {run}", f"tensorboard --logdir {run / 'tb'}"]


def test_a_machine_that_cannot_film_is_told_what_to_install_first(run, capsys, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    said = next_of(SOLVED, run, {"environment": {"id": "CartPole-v1"}}, RESUME, capsys)

    assert said[1] == f"tinyqueue record {run}    # after {install_command('video')}"


def test_no_film_is_suggested_of_what_draws_no_pictures(run, capsys):
    gymnasium.register("Blind-v0", entry_point=cast(Any, lambda: None))
    try:
        said = next_of(SOLVED, run, {"environment": {"id": "Blind-v0"}}, RESUME, capsys)
    finally:
        gymnasium.registry.pop("Blind-v0")

    assert [line.split()[1] for line in said] == ["evaluate", "train", "--logdir"]


def test_a_run_that_ended_at_its_limit_goes_on_with_a_higher_one(run, capsys):
    outcome = Outcome("max env steps", 2048, 2, 2, 1.0)

    said = next_of(outcome, run, {"environment": {"id": "CartPole-v1"}}, RESUME, capsys)

    assert said[2] == f"tinyqueue train --resume {run} --max-env-steps 4096"


def test_every_command_that_trains_for_longer_is_the_same(run, capsys, monkeypatch):
    monkeypatch.setenv("TINYQUEUE_ENVIRONMENT_MODULES", "snake")
    monkeypatch.setenv("PYTHONPATH", ".")
    outcome = Outcome("max env steps", 2048, 2, 2, 1.0)

    tell(outcome, run, POLE, resume=RESUME, as_json=False)

    said = [line for line in capsys.readouterr().out.splitlines() if "--resume" in line]
    command = (
        "TINYQUEUE_ENVIRONMENT_MODULES=snake PYTHONPATH=. "
        f"tinyqueue train --resume {run} --max-env-steps 4096"
    )
    assert said[0].endswith(f"Let it train for longer: {command}")
    assert said[1:] == [f"  {command}"]


@pytest.mark.parametrize(
    ("ended", "limit", "anneal_steps", "options"),
    [
        ("max env steps", 1000, 1000, "--max-env-steps 2000 --set algorithm.anneal_steps=2000"),
        ("max env steps", 1000, 0, "--max-env-steps 2000"),
        ("max env steps", 1000, 5000, "--max-env-steps 2000"),
        ("stopped", 1000, 1000, ""),
        ("stopped", None, 1000, "--set algorithm.anneal_steps=2000"),
        ("stopped", 5000, 1000, "--set algorithm.anneal_steps=5000"),
    ],
)
def test_a_longer_run_stretches_the_schedule_that_ends_at_zero(ended, limit, anneal_steps, options):
    document = {
        "environment": {"id": "CartPole-v1"},
        "algorithm": {"anneal_steps": anneal_steps},
        "stop": {} if limit is None else {"max_env_steps": limit},
    }
    reached = ended == "max env steps"

    assert " ".join(longer(make_experiment(document), reached, 1000)) == options


def test_how_actions_were_chosen_is_said_and_goes_into_what_comes_next(run, capsys):
    remark = "12 of 100 games were ended at 10,000 steps"
    outcome = dataclasses.replace(SOLVED, policy="sampled", remarks=(remark,))

    tell(outcome, run, POLE, resume=RESUME, as_json=False)

    said = capsys.readouterr().out
    assert "solved: 499.6 ≥ 475, the sampled mean of 100 games" in said
    assert remark in said
    assert f"tinyqueue evaluate {run} -n 100 --sample" in said


def test_a_mean_just_above_a_level_below_one_is_said_as_it_is():
    outcome = dataclasses.replace(SOLVED, threshold=0.95, deciding_mean=0.96, fresh_mean=0.004)

    first, second, *_ = sentences(outcome, solved_s=None, count=None)

    assert first.startswith("solved: 0.96 ≥ 0.95, the greedy mean")
    assert second.startswith("0.004 over 100 fresh games")


def test_a_level_that_is_not_reached_stands_beside_what_the_last_games_came_to():
    outcome = Outcome(
        "max env steps", 1000, 10, 10, 1.0, 475.0, last_mean=474.96, last_games=100,
        last_env_steps=990,
    )  # fmt: skip

    assert sentences(outcome, solved_s=None, count=None)[0] == (
        "the limit of env steps is reached; the level 475 is not reached: 474.96, the greedy mean "
        "of 100 games at 990 env steps"
    )


def test_a_level_that_no_fresh_games_confirmed_is_not_called_reached():
    outcome = Outcome(
        "stopped", 1000, 10, 10, 1.0, 475.0, deciding_mean=480.0, deciding_games=100,
        last_mean=480.0, last_games=100, last_env_steps=990,
    )  # fmt: skip

    assert sentences(outcome, solved_s=None, count=None)[0] == (
        "stopped; the level 475 is not confirmed: 100 greedy games came to 480.0, and no fresh "
        "games have been played to the end"
    )


@pytest.mark.parametrize("updates", [0, 2])
def test_a_run_that_could_not_get_on_is_told_by_its_reason_and_not_to_be_resumed(
    run, capsys, updates
):
    reason = "no session batch was accepted within 60 s: no display [12 times]"
    outcome = Outcome("failed", 0, updates, 0, 0.0, reason=reason)
    (run / "players.log").touch()

    tell(outcome, run, POLE, resume=RESUME, as_json=False)

    said = capsys.readouterr().out
    assert reason in said
    assert "players.log" in said
    # The learner of a service has no such file: its log is its operator's.
    assert "learner.log" not in said
    assert "--resume" not in said
    assert "train for longer" not in said


def test_a_reader_that_has_gone_is_answered_on_the_other_stream(run, capsys, monkeypatch):
    class Closed(io.StringIO):
        def write(self, text):
            raise BrokenPipeError(errno.EPIPE, "gone")

    monkeypatch.setattr(sys, "stdout", Closed())

    with pytest.raises(BrokenPipeError):
        tell(SOLVED, run, POLE, resume=RESUME, as_json=False)

    assert capsys.readouterr().err == (
        f"output closed; saved in {run}; resume with: tinyqueue train --resume {run}\n"
    )
