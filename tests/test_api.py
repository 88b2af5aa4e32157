"""``tinyqueue.train``, for a program."""

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

import tinyqueue
from tinyqueue import api
from tinyqueue.errors import ConfigError, UnknownNameError
from tinyqueue.run.outcome import Outcome
from tinyqueue.run.run_directory import RunDirectory

OUTCOME = Outcome("stopped", 80, 10, 9, 1.5)


@pytest.fixture
def trained(monkeypatch, tmp_path):
    """What was trained instead of training."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TINYQUEUE_RUNS_DIR", raising=False)
    calls = []

    def train_here(experiment, run, settings, view, where):
        calls.append((experiment, where))
        return OUTCOME

    monkeypatch.setattr(api, "train_here", train_here)
    return calls


def test_a_program_names_settings_as_python_values(trained):
    tinyqueue.train(
        "CartPole-v1",
        settings={
            "algorithm.learning_rate": 1e-4,
            "algorithm.normalise_advantages": False,
            "model.hidden": (8, 4),
            "session.codec": "lz4",
        },
        seed=5,
        stop_at_return=100.0,
        max_env_steps=2000,
    )

    ((experiment, _),) = trained
    assert experiment.algorithm.learning_rate == 1e-4
    assert experiment.algorithm.normalise_advantages is False
    assert experiment.model.hidden == (8, 4)
    assert experiment.session.codec == "lz4"
    assert experiment.seed == 5
    assert (experiment.stop.at_return, experiment.stop.max_env_steps) == (100.0, 2000)


def test_the_run_directory_is_returned_and_free_to_be_resumed(trained, tmp_path):
    path, outcome = tinyqueue.train("CartPole-v1", runs_dir=tmp_path / "mine", players=3)

    assert outcome is OUTCOME
    assert path == tmp_path / "mine" / "cartpole-impala" / "1"
    RunDirectory.open(path).close()
    ((_, where),) = trained
    assert (where.services, where.players, where.serial) == ("auto", 3, False)


def test_a_misspelt_environment_leaves_nothing(trained, tmp_path):
    with pytest.raises(UnknownNameError, match="did you mean 'CartPole-v1'"):
        tinyqueue.train("CartPool-v1")

    assert list(tmp_path.iterdir()) == []
    assert trained == []


def test_numpys_numbers_paths_and_nested_tables_are_taken(trained, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))

    path, _ = tinyqueue.train(
        "CartPole-v1",
        settings={"algorithm": {"learning_rate": np.float32(0.5)}, "model.hidden": np.array([8])},
        players=np.int64(3),
        seed=np.int32(5),
        stop_at_return=np.float64(100),
        max_env_steps=np.int64(2000),
        runs_dir="~/mine",
    )

    ((experiment, where),) = trained
    assert path == tmp_path / "mine" / "cartpole-impala" / "1"
    assert experiment.algorithm.learning_rate == 0.5
    assert experiment.model.hidden == (8,)
    assert (experiment.seed, where.players) == (5, 3)
    assert (experiment.stop.at_return, experiment.stop.max_env_steps) == (100.0, 2000)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"settings": {"algorithm.gamma": object()}}, "algorithm.gamma"),
        ({"seed": 1.5}, "seed = 1.5 must be a whole number"),
        ({"stop_at_return": "high"}, "stop_at_return = 'high' must be a number"),
    ],
)
def test_what_cannot_be_a_setting_is_refused_with_its_key(trained, tmp_path, options, said):
    with pytest.raises(ConfigError, match=said):
        tinyqueue.train("CartPole-v1", **options)

    assert trained == []
    assert list(tmp_path.iterdir()) == []


def test_a_program_starts_from_a_sample_and_notes_why(trained, tmp_path):
    sample = Path(__file__).resolve().parents[1] / "samples" / "pong"

    path, _ = tinyqueue.train(
        "CartPole-v1", runs_dir=tmp_path, init_from=sample, note="with its weights"
    )

    assert "with its weights" in (path / "notes.md").read_text()
    with closing(RunDirectory.open(path)) as run:
        assert run.info()["init_from"] == str(sample)
