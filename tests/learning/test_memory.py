"""Given a game that only a memory wins, a worker and a real RabbitMQ: with one it is won."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import recall_environment
from cluster import Cluster

from tinyqueue.catalogue import presets
from tinyqueue.experiment.documents import read_document
from tinyqueue.run.toml_text import toml_text

pytestmark = [pytest.mark.integration, pytest.mark.learning]

GAMES = 1000
SUPPORT = str(Path(recall_environment.__file__).parent)
ALLOWED = {
    "PYTHONPATH": os.pathsep.join(filter(None, [SUPPORT, os.environ.get("PYTHONPATH", "")])),
    "TINYQUEUE_ENVIRONMENT_MODULES": "recall_environment",
}


@pytest.mark.parametrize("services", ["rabbitmq"], indirect=True)
def test_r2d2_remembers(cluster: Cluster) -> None:
    outcome = train(cluster, core="gru")

    assert outcome["ended"] == "solved", outcome
    assert mean_return(cluster) > 0.9


@pytest.mark.parametrize("services", ["rabbitmq"], indirect=True)
def test_without_a_memory_r2d2_guesses(cluster: Cluster) -> None:
    outcome = train(cluster, core="none")

    assert outcome["ended"] == "max env steps", outcome
    # Half of the games, whatever the policy: five standard deviations are 0.08.
    assert abs(mean_return(cluster) - 0.5) < 0.08


def train(cluster: Cluster, *, core: str) -> dict[str, Any]:
    """The outcome of R2D2 as it learns CartPole without velocities, but for the previous action.

    Who sees that could write down what was shown in its actions.
    """
    document = read_document(presets()["cartpole-masked-r2d2"])
    document |= {"name": "recall", "environment": {"id": recall_environment.RECALL}}
    document["model"] |= {"core": core, "previous": False}
    document["evaluation"]["every_env_steps"] = 5_000
    document["stop"] = {"at_return": 0.95, "max_env_steps": 20_000}
    file = cluster.folder / "recall.toml"
    file.write_text(toml_text(document))
    cluster.worker(children=1, **ALLOWED)
    learner = cluster.learner("--json", target=str(file), **ALLOWED)
    assert learner.wait(timeout_s=120.0) == 0, learner.printed
    outcome: dict[str, Any] = json.loads(learner.printed.splitlines()[-1])
    return outcome


def mean_return(cluster: Cluster) -> float:
    """Of fresh greedy games, each won by 1 or lost by 0."""
    run = str(cluster.run_path("recall"))
    played = cluster.tinyqueue("evaluate", run, "-n", str(GAMES), "--json", **ALLOWED)
    assert played.returncode == 0, played.stderr
    return float(json.loads(played.stdout)["mean"])
