"""What is said of a run that is not there, by every command that takes one."""

import os

import pytest
from balancing import trained_run

COMMANDS = [
    ("record",),
    ("evaluate",),
    ("export", "--out", "samples/mine"),
    ("info",),
    ("plot",),
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
