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

# On one process of pytest: the runs are shared.
pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("serial")]

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


# One after the other in one process: TensorFlow is imported once.
TRAIN = """
import json, sys
from tinyqueue.cli.main import main

for words in json.loads(sys.argv[1]):
    sys.argv = ["tinyqueue", "train", *words, "--serial", "--json"]
    main()
"""


def start(folder: Path, commands: list[list[str]]) -> subprocess.Popen[str]:
    env = {k: v for k, v in os.environ.items() if not k.startswith("TINYQUEUE_")}
    program = [sys.executable, "-c", TRAIN, json.dumps(commands)]
    pipe = subprocess.PIPE
    return subprocess.Popen(program, cwd=folder, env=env, stdout=pipe, stderr=pipe, text=True)


# Small batches, and a level that every policy reaches: solved with the first 100 episodes.
POLE = ["CartPole-v1", "--seed", "7", "--stop-at-return", "5", "--set", "session.slots=8"]
POLE += ["--set", "evaluation.episodes=20"]
NORMALISED = ["Pendulum-v1", "--seed", "7", "--max-env-steps", "512"]
for setting in (
    "environment.normalise_observations=true",
    "environment.normalise_rewards=true",
    "session.ticks=16",
    "session.slots=4",
    "algorithm.minibatches=4",
    "evaluation.episodes=2",
    "evaluation.slots=2",
):
    NORMALISED += ["--set", setting]


@pytest.fixture(scope="module")
def all_runs(tmp_path_factory):
    """Result and run directory of two runs of each command, side by side."""
    folders = [tmp_path_factory.mktemp("serial") for _ in range(2)]
    for folder in folders:
        (folder / "apex.toml").write_text(APEX)
    processes = [start(folder, [POLE, ["apex.toml"], NORMALISED]) for folder in folders]
    finished = []
    for folder, process in zip(folders, processes, strict=True):
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        results = [json.loads(line) for line in out.splitlines()]
        finished.append([(result, folder / result["run_directory"]) for result in results])
    return dict(zip(("pole", "apex", "normalised"), zip(*finished, strict=True), strict=True))


@pytest.fixture
def runs(all_runs):
    return all_runs["pole"]


def test_the_same_seed_gives_the_same_weights_bit_for_bit(runs):
    once, again = (CheckpointReader(run / "checkpoints").newest() for _, run in runs)

    assert once.updates == again.updates >= 8
    assert len(once.state) > len(once.weights) == 6
    assert {name: array.tobytes() for name, array in once.state.items()} == {
        name: array.tobytes() for name, array in again.state.items()
    }


def test_exploration_by_slot_and_replay_are_the_same_too(all_runs):
    once, again = (CheckpointReader(run / "checkpoints").newest() for _, run in all_runs["apex"])

    assert once.updates == again.updates >= 8
    assert {name: array.tobytes() for name, array in once.weights.items()} == {
        name: array.tobytes() for name, array in again.weights.items()
    }


def test_statistics_of_observations_and_rewards_are_the_same_too(all_runs):
    runs = all_runs["normalised"]
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
