"""What is said of a run that is not there, by every command that takes one."""

import json
import os
from dataclasses import replace

import pytest
from balancing import BALANCES, checkpoint, spec, trained_run

from tinyqueue.experiment.environment import EnvironmentConfig

COMMANDS = [
    ("record",),
    ("evaluate",),
    ("export", "--out", "samples/mine"),
    ("info",),
    ("plot",),
    ("diagnose",),
    ("train", "--resume"),
    ("learner", "start", "--resume"),
    ("sessions", "list"),
    ("sessions", "show"),
]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_run_that_does_not_exist_is_answered_with_those_that_do(tinyqueue, tmp_path, command):
    for number in range(1, 8):
        run = trained_run(tmp_path / "runs")
        os.utime(run / "run.json", (number, number))

    refused = tinyqueue(*command, "runs/pole/9")

    assert refused.code == 1
    assert refused.err == (
        "error: runs/pole/9 does not exist. Runs in runs, the last trained first: runs/pole/7, "
        "runs/pole/6, runs/pole/5, runs/pole/4, runs/pole/3, and 2 more.\n"
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_where_there_are_no_runs_a_command_that_makes_one_is_said(tinyqueue, tmp_path, command):
    refused = tinyqueue(*command, "runs/pole/1")

    assert refused.code == 1
    assert refused.err == (
        "error: runs/pole/1 does not exist. "
        "There are no runs in runs: `tinyqueue train CartPole-v1` makes one.\n"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", COMMANDS)
def test_a_folder_of_runs_is_answered_with_these(tinyqueue, tmp_path, command):
    for number in (1, 2):
        run = trained_run(tmp_path / "runs")
        os.utime(run / "run.json", (number, number))

    refused = tinyqueue(*command, "runs/pole")

    assert refused.code == 1
    assert refused.err == (
        "error: runs/pole is not a run directory but holds some. "
        "Give one: runs/pole/2, runs/pole/1.\n"
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_a_file_is_no_run(tinyqueue, tmp_path, command):
    (tmp_path / "pole.toml").touch()

    refused = tinyqueue(*command, "pole.toml")

    assert refused.code == 1
    assert refused.err.startswith("error: pole.toml is a file, not a run directory. There are no")


@pytest.mark.parametrize("command", COMMANDS)
def test_another_folder_is_no_run(tinyqueue, tmp_path, command):
    refused = tinyqueue(*command, ".")

    assert refused.code == 1
    assert refused.err == (
        "error: . is not a run directory: it holds no run.json. "
        "There are no runs in runs: `tinyqueue train CartPole-v1` makes one.\n"
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_the_folder_of_all_runs_is_answered_with_these(tinyqueue, tmp_path, command):
    trained_run(tmp_path / "runs")

    refused = tinyqueue(*command, "runs")

    assert refused.err == (
        "error: runs is not a run directory but holds some. Give one: runs/pole/1.\n"
    )


def of_snake(run):
    """Turns a run into one of an environment that is not registered here."""
    state = json.loads((run / "run.json").read_bytes())
    state["info"] |= {"environment_modules": ["snake"], "pythonpath": "envs"}
    (run / "run.json").write_text(json.dumps(state))
    (run / "experiment.toml").write_text('name = "pole"\n[environment]\nid = "Snake-v0"\n')


@pytest.mark.parametrize(
    "command",
    [
        ("evaluate", "-n", "3"),
        ("export", "--out", "mine"),
        ("record",),
        ("train", "--serial", "--max-env-steps", "9", "--resume"),
    ],
)
def test_modules_that_a_run_was_trained_with_are_named(tinyqueue, tmp_path, command):
    snake = spec().model_copy(update={"environment": EnvironmentConfig(id="Snake-v0")})
    unknown = replace(checkpoint(1000, BALANCES), spec=snake.model_dump())
    run = trained_run(tmp_path / "runs", unknown)
    of_snake(run)

    refused = tinyqueue(*command, run)

    words = " ".join(("tinyqueue", *command, str(run)))
    assert refused.code == 1
    assert "unknown environment 'Snake-v0'" in refused.err
    assert "was trained with snake, which is not named here" in refused.err
    assert f"TINYQUEUE_ENVIRONMENT_MODULES=snake PYTHONPATH=envs {words}\n" in refused.err
