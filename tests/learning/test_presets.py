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
