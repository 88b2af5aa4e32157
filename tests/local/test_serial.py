"""Serial training: everything in one process, and the same bits from the same seed."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, cast

import pytest

from tinyqueue.learned import load
from tinyqueue.run.checkpoints import CheckpointReader

APEX = """
name = "pole-apex"
seed = 7
[environment]
id = "CartPole-v1"
[algorithm]
name = "apex"
batch_size = 32
[model]
hidden = [16]
[session]
ticks = 8
slots = 8
[replay]
minimum_steps = 200
[stop]
at_return = 600
max_env_steps = 400
"""


def start(folder: Path, *what: str) -> subprocess.Popen[str]:
    env = {k: v for k, v in os.environ.items() if not k.startswith("TINYQUEUE_")}
    command = [sys.executable, "-m", "tinyqueue.cli.main", "train", *what, "--serial", "--json"]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=folder, env=env, stdout=pipe, stderr=pipe, text=True)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Result and run directory of two runs of one command, side by side."""
    # Small batches, and a level that every policy reaches: solved with the first 100 episodes.
    command = ["CartPole-v1", "--seed", "7", "--stop-at-return", "5", "--set", "session.slots=8"]
    command += ["--set", "evaluation.episodes=20"]
    return run_twice(tmp_path_factory, *command)


def run_twice(tmp_path_factory, *command):
    folders = [tmp_path_factory.mktemp("serial") for _ in range(2)]
    processes = [start(folder, *command) for folder in folders]
    finished = []
    for folder, process in zip(folders, processes, strict=True):
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        result = json.loads(out)
        finished.append((result, folder / result["run_directory"]))
    return finished


def test_the_same_seed_gives_the_same_weights_bit_for_bit(runs):
    once, again = (CheckpointReader(run / "checkpoints").newest() for _, run in runs)

    assert once.updates == again.updates >= 8
    assert len(once.state) > len(once.weights) == 6
    assert {name: array.tobytes() for name, array in once.state.items()} == {
        name: array.tobytes() for name, array in again.state.items()
    }


def test_exploration_by_slot_and_replay_are_the_same_too(tmp_path_factory):
    file = tmp_path_factory.mktemp("apex") / "apex.toml"
    file.write_text(APEX)
    runs = run_twice(tmp_path_factory, str(file))

    once, again = (CheckpointReader(run / "checkpoints").newest() for _, run in runs)

    assert once.updates == again.updates >= 8
    assert {name: array.tobytes() for name, array in once.weights.items()} == {
        name: array.tobytes() for name, array in again.weights.items()
    }


def test_statistics_of_observations_and_rewards_are_the_same_too(tmp_path_factory):
    command = ["Pendulum-v1", "--seed", "7", "--max-env-steps", "512"]
    for setting in (
        "environment.normalise_observations=true",
        "environment.normalise_rewards=true",
        "session.ticks=16",
        "session.slots=4",
        "algorithm.minibatches=4",
        "evaluation.episodes=2",
        "evaluation.slots=2",
    ):
        command += ["--set", setting]
    runs = run_twice(tmp_path_factory, *command)

    once, again = (CheckpointReader(run / "checkpoints").newest() for _, run in runs)

    assert once.updates == again.updates >= 4
    assert once.state["normalisation/rewards/count"] >= 512
    assert {name: array.tobytes() for name, array in once.state.items()} == {
        name: array.tobytes() for name, array in again.state.items()
    }


def test_evaluations_are_the_same_too_and_each_set_of_games_is_another(runs):
    once, again = (
        [json.loads(line) for line in (run / "evaluations.jsonl").read_text().splitlines()]
        for _, run in runs
    )

    for key in ("env_steps", "return_mean", "length_mean"):
        assert [line[key] for line in once] == [line[key] for line in again]
    deciding, fresh = once
    assert deciding["policy_version"] == fresh["policy_version"]
    assert deciding["return_mean"] != fresh["return_mean"]


def test_the_result_is_one_object_on_stdout_and_in_the_run_directory(runs):
    result, run = runs[0]

    assert result["ended"] == "solved"
    assert result["deciding_mean"] > result["threshold"] == 5
    assert (result["deciding_games"], result["fresh_games"]) == (20, 20)
    assert 0 < result["solved_s"] < 120
    assert json.loads((run / "outcome.json").read_text()) == result


def test_the_run_directory_holds_what_it_promises(runs):
    _, run = runs[0]

    names = {path.name for path in run.iterdir()}
    assert {"experiment.toml", "run.json", "metrics.jsonl", "episodes.jsonl", "tb"} <= names
    assert (run / "plots" / "learning_curve.png").read_bytes().startswith(b"\x89PNG")
    document = tomllib.loads((run / "experiment.toml").read_text())
    assert document["seed"] == 7
    assert document["evaluation"]["episodes"] == 20


def test_what_was_learned_can_be_played(runs):
    result, run = runs[0]
    learned = load(run)

    assert learned.env_steps == result["env_steps"]
    action: Any
    action, _ = learned.act(cast(Any, [0.0, 0.0, 0.0, 0.0]))
    assert action in (0, 1)
