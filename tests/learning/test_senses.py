"""Observations with images are learned by the model that they get when none is named."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import any_senses
import pytest
from cluster import Cluster

import tinyqueue
from tinyqueue.run.outcome import Outcome
from tinyqueue.run.toml_text import toml_text

pytestmark = pytest.mark.learning

ALLOWED = {
    "PYTHONPATH": os.pathsep.join(
        filter(None, [str(Path(any_senses.__file__).parent), os.environ.get("PYTHONPATH", "")])
    ),
    "TINYQUEUE_ENVIRONMENT_MODULES": "any_senses",
}
LEVEL = 15.0
"""Of 16; without one of the senses 13.3 at most, and 8 by chance."""


def document(name: str, level: float, steps: int, **environment: Any) -> dict[str, Any]:
    """No model is named: the environment's observations decide."""
    return {
        "name": name,
        "environment": environment,
        # What is done has no consequences.
        "algorithm": {"name": "ppo", "learning_rate": 1e-3, "gamma": 0.0},
        "session": {"ticks": 16, "slots": 16},
        "evaluation": {"episodes": 20, "every_env_steps": 2_000},
        "stop": {"at_return": level, "max_env_steps": steps},
    }


@pytest.fixture
def allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ALLOWED.items():
        monkeypatch.setenv(name, value)


def trained_serially(tmp_path: Path, tables: dict[str, Any]) -> Outcome:
    """In this process, which imports TensorFlow once for all."""
    file = tmp_path / "experiment.toml"
    file.write_text(toml_text(tables))
    run, outcome = tinyqueue.train(file, serial=True, runs_dir=tmp_path / "runs")
    kept = (run / "experiment.toml").read_text()
    wanted = "mlp" if tables["environment"].get("kwargs", {}).get("shape") == [1, 7] else None
    assert f'name = "{wanted or "multi-input"}"' in kept
    return outcome


@pytest.mark.usefixtures("allowed")
def test_an_image_a_vector_and_a_task_are_put_together(tmp_path: Path) -> None:
    outcome = trained_serially(tmp_path, document("senses", LEVEL, 40_000, id="Senses-v0"))
    assert outcome.ended == "solved", outcome
    assert outcome.fresh_mean is not None
    assert outcome.fresh_mean >= LEVEL - 1.0


@pytest.mark.usefixtures("allowed")
@pytest.mark.parametrize(
    ("shape", "axis", "dtype"),
    [
        ([3, 10, 10], 2, "uint8"),
        ([3, 10, 10], 2, "float32"),
        ([10, 10, 3], 1, "float32"),
        ([1, 7], 1, "uint8"),
        ([35, 35], 1, "uint8"),
        ([36, 36], 1, "uint8"),
        ([84, 84, 1], 1, "uint8"),
    ],
    ids=str,
)
def test_one_image_of_any_size_works_without_a_setting(
    tmp_path: Path, shape: list[int], axis: int, dtype: str
) -> None:
    kwargs = {"shape": shape, "axis": axis, "dtype": dtype}
    tables = document("halves", 14.5, 40_000, id="Halves-v0", kwargs=kwargs)
    outcome = trained_serially(tmp_path, tables)
    assert outcome.ended == "solved", outcome


@pytest.mark.integration
@pytest.mark.parametrize("services", ["embedded"], indirect=True)
def test_they_are_put_together_through_a_worker_and_a_queue(cluster: Cluster) -> None:
    """With a memory and the previous action, whose state travels with every session."""
    tables = document("senses", LEVEL, 60_000, id="Senses-v0")
    tables["model"] = {"core": "gru", "previous": True, "core_units": 64}
    file = cluster.folder / "senses.toml"
    file.write_text(toml_text(tables))
    cluster.worker(children=1, **ALLOWED)

    learner = cluster.learner("--json", target=str(file), **ALLOWED)

    assert learner.wait(timeout_s=240.0) == 0, learner.printed
    outcome = json.loads(learner.printed.splitlines()[-1])
    assert outcome["ended"] == "solved", outcome
