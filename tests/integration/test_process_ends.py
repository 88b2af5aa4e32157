"""Given workers of an operator's own, of which a pool child ends in the middle of a task."""

from __future__ import annotations

import json
import os
import signal

import pytest
from cluster import ENDLESS, PRESET, Cluster

pytestmark = pytest.mark.integration


def test_the_learner_tells_which_player_ended_how_and_in_which_environment(
    cluster: Cluster,
) -> None:
    first, other = cluster.worker(children=2, queues="play"), cluster.worker(queues="play")
    # Between two tasks a child plays nothing, and its end is nobody's concern.
    learner = cluster.learner("--json", *ENDLESS, "--set", "session.task_budget_s=10")
    cluster.trains_on(1)
    cluster.until(lambda: cluster.status().get("players") == 3, "three players play")

    killed = first.children[0]
    os.kill(killed, signal.SIGKILL)

    said = "its process was ended by SIGKILL in the middle of a task in CartPole-v1"
    cluster.until(lambda: said in learner.printed, "it is told", within_s=10.0)
    (line,) = (line for line in learner.printed.splitlines() if said in line)
    assert f":{killed}:" in line
    cluster.until(lambda: cluster.status().get("players") == 3, "the next child has its place", 10)

    learner.terminate()
    assert learner.wait() == 0, learner.printed
    (remark,) = json.loads(learner.printed.splitlines()[-1])["remarks"]
    assert remark.startswith("a player's process ended, first: player ")
    shown = json.loads(cluster.tinyqueue("info", str(cluster.run_path()), "--json").stdout)
    assert shown[PRESET]["remarks"] == [remark]
    assert shown[PRESET]["ended"] == "stopped"
    for worker in (first, other):
        worker.terminate()
        worker.wait()
