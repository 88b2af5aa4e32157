"""Given workers and a learner joined by a real RabbitMQ: CartPole is solved from every seed."""

from __future__ import annotations

import json

import pytest
from cluster import Cluster

pytestmark = [pytest.mark.integration, pytest.mark.learning]


@pytest.mark.parametrize("services", ["rabbitmq"], indirect=True)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_cartpole_is_solved(cluster: Cluster, seed: int) -> None:
    cluster.worker(children=2)

    learner = cluster.learner("--seed", str(seed), "--json")

    assert learner.wait() == 0, learner.printed
    outcome = json.loads(learner.printed.splitlines()[-1])
    assert outcome["ended"] == "solved"
    assert outcome["deciding_mean"] >= outcome["threshold"] == 475.0
    assert outcome["deciding_games"] == outcome["fresh_games"] == 100
    # The weights that decided also play games that did not decide.
    assert outcome["fresh_mean"] >= 450.0
