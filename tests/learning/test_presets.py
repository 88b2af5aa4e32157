"""Given a preset, workers and a real RabbitMQ: its level is reached within its budget."""

from __future__ import annotations

import json

import pytest
from cluster import Cluster

from tinyqueue.catalogue import presets
from tinyqueue.experiment.documents import read_document

pytestmark = [pytest.mark.integration, pytest.mark.learning]


@pytest.mark.parametrize("services", ["rabbitmq"], indirect=True)
@pytest.mark.parametrize(
    "name", ["cartpole-dqn", "cartpole-ppo", "cartpole-masked-r2d2", "cartpole-masked-impala"]
)
def test_the_level_is_reached_within_the_budget(cluster: Cluster, name: str) -> None:
    stop = read_document(presets()[name])["stop"]
    cluster.worker(children=2)

    learner = cluster.learner("--seed", "1", "--json", target=name)

    assert learner.wait(timeout_s=240.0) == 0, learner.printed
    outcome = json.loads(learner.printed.splitlines()[-1])
    assert outcome["ended"] == "solved", outcome
    assert outcome["env_steps"] <= stop["max_env_steps"]
    assert outcome["deciding_mean"] >= stop["at_return"]
    # The weights that decided also play games that did not decide.
    assert outcome["fresh_mean"] >= 0.9 * stop["at_return"]


@pytest.mark.parametrize("services", ["rabbitmq"], indirect=True)
def test_what_is_hidden_cannot_be_learned_without_a_memory(cluster: Cluster) -> None:
    cluster.worker(children=2)

    learner = cluster.learner(
        *("--seed", "1", "--json", "--set", "model.core=none", "--max-env-steps", "100000"),
        target="cartpole-masked-r2d2",
    )

    assert learner.wait(timeout_s=240.0) == 0, learner.printed
    assert json.loads(learner.printed.splitlines()[-1])["ended"] == "max env steps"
    played = cluster.tinyqueue(
        "evaluate", str(cluster.run_path("cartpole-masked-r2d2")), "-n", "100", "--json"
    )
    assert played.returncode == 0, played.stderr
    # A third of the level. Three seeds had 86 to 98 after 300,000 env steps; one run differs from
    # the next with the same seed, and benchmarks/learning.py --fails-under 100 takes several.
    assert json.loads(played.stdout)["mean"] < 150.0
