"""What the extras bring is enough for what README says they are for."""

import json
from pathlib import Path

import pytest
from only_extras import modules_without, run_with

from tinyqueue.installing import install_command

PONG = Path(__file__).parents[1] / "samples" / "pong"


def test_what_an_extra_brings_can_be_imported_and_nothing_else():
    missing = modules_without(["plot"])

    assert {"tensorflow", "keras", "ale_py", "pytest"} <= missing
    assert not {"tinyqueue", "celery", "numpy", "gymnasium", "matplotlib", "PIL"} & missing


@pytest.mark.integration
def test_what_is_missing_is_answered_with_the_extra_that_brings_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # Where the command runs too.
    ran = run_with(["atari"], ["record", PONG, "-n", 1], tmp_path)

    assert ran.returncode == 1
    assert install_command("video") in ran.stderr
    assert list(tmp_path.glob("records*")) == []


@pytest.mark.integration
def test_the_demo_trains_with_its_extras_alone(tmp_path):
    ran = run_with(
        ["learner", "local", "plot"],
        ["train", "CartPole-v1", "--max-env-steps", 2_000, "--json"],
        tmp_path,
    )

    assert ran.returncode == 0, ran.stderr
    run = Path(json.loads(ran.stdout)["run_directory"])
    assert list((tmp_path / run / "tb").glob("events.*"))
    assert (tmp_path / run / "plots" / "learning_curve.png").is_file()


@pytest.mark.integration
def test_a_sample_is_evaluated_with_the_extra_of_its_game_alone(tmp_path):
    ran = run_with(["atari"], ["evaluate", PONG, "-n", 1, "--json"], tmp_path)

    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["mean"] >= 18


@pytest.mark.integration
def test_a_sample_is_filmed_with_the_two_extras_that_are_said(tmp_path):
    ran = run_with(["atari", "video"], ["record", PONG, "-n", 1, "--gif"], tmp_path)

    assert ran.returncode == 0, ran.stderr
    assert {path.name for path in (tmp_path / "records").iterdir()} == {"pong-1.mp4", "pong-1.gif"}
