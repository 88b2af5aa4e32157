"""Given a lag that must be kept: it is, and no player that dies takes the run's credits with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from checker import judge
from cluster import ENDLESS, PRESET, Cluster

from tinyqueue.store.keys import Keys

pytestmark = [pytest.mark.integration, pytest.mark.faults]


@pytest.fixture
def cluster(services: Any, tmp_path: Path) -> Any:
    cluster = Cluster(services.broker_url, services.redis_url, tmp_path / "cluster")
    yield cluster
    cluster.stop()


def test_what_a_policy_played_is_trained_on_before_the_next_version(cluster: Cluster) -> None:
    """While players are killed, and Redis forgets the credits."""
    learner = cluster.learner(*ENDLESS, "--set", "learner.lag=0")
    first, second = cluster.worker(), cluster.worker()
    cluster.trains_on()

    first.kill()
    third = cluster.worker()
    cluster.trains_on()
    cluster.redis.delete(Keys(PRESET).credits)
    cluster.trains_on()

    for worker in (second, third):
        worker.terminate()
        assert worker.wait() == 0, worker.printed
    run = cluster.run_path()
    cluster.until(lambda: not judge(cluster.journal, run).lost, "everything has a fate")
    learner.terminate()
    assert learner.wait() == 0, learner.printed
    judge(cluster.journal, run).must_balance()
    lines = (run / "metrics.jsonl").read_text().splitlines()
    lags = [json.loads(line)["policy_lag_mean"] for line in lines]
    assert len(lags) > 3
    # A batch whose credit was given up, and came after all, is one version late at most.
    assert max(lags) < 0.1, lags
