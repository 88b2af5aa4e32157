"""Given the real learner: a player that knows nothing but docs/wire.md trains CartPole."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

import pytest
from cluster import PRESET, Cluster, Process

PLAYER = Path(__file__).with_name("player.py")

pytestmark = pytest.mark.integration


def play(cluster: Cluster, *options: str) -> Process:
    command = [sys.executable, str(PLAYER), cluster.broker_url, cluster.redis_url, *options]
    process = Process("foreign", command, dict(os.environ), cluster.folder / "foreign.log")
    cluster._processes.append(process)
    return process


@pytest.mark.parametrize("services", ["rabbitmq"], indirect=True)
def test_cartpole_is_learned_from_its_sessions_alone(cluster: Cluster) -> None:
    """Every batch is accepted, and what it has recorded conforms."""
    messages = cluster.folder / "messages.bin"
    learner = cluster.learner(
        "--json", "--stop-at-return", "150", "--set", "evaluation.here_after_s=0"
    )
    cluster.until(lambda: cluster.redis.exists(f"tinyqueue:{PRESET}:head"), "weights")
    player = play(cluster, "--record", str(messages))

    assert learner.wait(240.0) == 0, learner.printed + player.printed
    player.kill()

    outcome = json.loads(learner.printed.splitlines()[-1])
    assert outcome["ended"] == "solved", outcome
    assert outcome["fresh_mean"] >= 130
    run = cluster.run_path()
    count = json.loads(cluster.tinyqueue("info", str(run), "--json").stdout)[PRESET]["count"]
    assert not count["set_aside"], count
    assert count["accepted"] >= 10
    for where in (("--run", str(run)), ("--experiment", PRESET)):
        said = cluster.tinyqueue("conformance", str(messages), *where)
        assert said.returncode == 0, said.stderr
        assert re.search(r"\d+ messages of 'cartpole-impala': all conform", said.stdout)
