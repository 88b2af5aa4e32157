"""Given real services, and workers that come and go: the loop trains until it is solved."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from checker import judge
from cluster import PRESET, Cluster, Process

pytestmark = pytest.mark.integration


def test_players_come_and_go_until_it_is_solved(cluster: Cluster) -> None:
    first, second = cluster.worker(queues="play"), cluster.worker(queues="play")
    cluster.until(lambda: "ready." in first.printed, "a worker is ready without a learner")

    # Only an evaluation ends the run, so it goes on until the evaluator joins.
    learner = cluster.learner("--json", "--max-env-steps", "1000000000")
    cluster.trains_on(1)
    third = cluster.worker(queues="play")
    cluster.until(lambda: all(has_played(cluster, w) for w in (first, second, third)), "play")
    evaluator = cluster.worker(queues="evaluate")
    second.kill()
    holds_no_tensorflow(first)
    assert "tensorflow" in libraries_of(learner.pid)

    assert learner.wait() == 0, learner.printed
    outcome = json.loads(learner.printed.splitlines()[-1])
    assert outcome["ended"] == "solved"
    assert outcome["deciding_mean"] >= 475.0
    assert outcome["fresh_games"] == 100

    info = json.loads(cluster.tinyqueue("info", "--json").stdout)[PRESET]
    assert info["learner"] is None
    count = info["count"]
    assert count["attempted"] == (
        count["accepted"]
        + sum(count["set_aside"].values())
        + sum(count["dropped"].values())
        + count["missing"]
    )
    assert count["env_steps"] == info["env_steps"] >= outcome["env_steps"]

    for worker in (first, third, evaluator):
        worker.terminate()
    assert [worker.wait() for worker in (first, third, evaluator)] == [0, 0, 0]
    verdict = judge(cluster.journal, cluster.run_path())
    # The learner ended while others played: what waits in its queue has no fate yet. The queue
    # holds two; two more were in hand and went back.
    assert len(verdict.lost) <= 4
    assert not verdict.invented
    assert verdict.trained_twice_steps == 0


@pytest.mark.parametrize("services", ["embedded"], indirect=True)
def test_a_process_that_plays_an_experiment_of_the_store_never_imports_tensorflow(
    cluster: Cluster,
) -> None:
    learner = cluster.learner("--max-env-steps", "1")
    cluster.until(lambda: cluster.redis.exists(f"tinyqueue:{PRESET}:head"), "weights")

    program = f"""
import sys
import tinyqueue.tasks
from tinyqueue.player.stage import Stage
from tinyqueue.policy.runner import PolicyRunner
from tinyqueue.store.client import connect
from tinyqueue.store.specs import SpecStore
from tinyqueue.store.weights import WeightStore

store = connect({cluster.redis_url!r})
specs = SpecStore(store)
spec = specs.load({PRESET!r})
weights = WeightStore(store, {PRESET!r}).fetch()
runner = PolicyRunner(specs.graph({PRESET!r}, spec.graph_sha256), weights.arrays, weights.version)
batch = Stage(spec, user="me", player="me", seed=1).play(runner, "task")
print(batch.env_steps, *sorted({{name.partition(".")[0] for name in sys.modules}}))
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, timeout=60
    )

    assert done.returncode == 0, done.stderr
    env_steps, *modules = done.stdout.split()
    assert 900 < int(env_steps) <= 1024
    assert {"tinyqueue", "celery", "onnxruntime"} <= set(modules)
    assert not {"tensorflow", "keras", "tf2onnx", "onnx"} & set(modules)
    learner.kill()


def has_played(cluster: Cluster, worker: Process) -> bool:
    """Whether a batch of it was confirmed: its children sign their journals with their pids."""
    journals = (f for pid in worker.children for f in cluster.journal.glob(f"{pid}-*.jsonl"))
    return any('"confirmed"' in journal.read_text() for journal in journals)


def holds_no_tensorflow(worker: Process) -> None:
    (child,) = worker.children
    libraries = libraries_of(child)
    assert "onnxruntime" in libraries
    assert "tensorflow" not in libraries


def libraries_of(pid: int) -> str:
    return Path(f"/proc/{pid}/maps").read_text()
