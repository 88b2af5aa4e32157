"""Given several experiments on one play queue: each has one learner, and none waits for another."""

from __future__ import annotations

import json
import shutil
from contextlib import closing
from pathlib import Path

import pytest
from cluster import ENDLESS, Cluster

from tinyqueue.bus.broker import Broker
from tinyqueue.bus.task_connection import TaskConnection
from tinyqueue.bus.task_sender import TaskSender
from tinyqueue.celery import make_app
from tinyqueue.data.identity import new_id
from tinyqueue.run.checkpoints import Checkpoints
from tinyqueue.settings import Settings

pytestmark = pytest.mark.integration


def test_two_experiments_share_players_and_outlive_each_other(cluster: Cluster) -> None:
    worker = cluster.worker(children=2)
    one = cluster.learner(*ENDLESS, "--set", "name=one")
    two = cluster.learner(*ENDLESS, "--set", "name=two", "--json")
    cluster.trains_on(1, experiment="one")
    cluster.trains_on(1, experiment="two")

    again = cluster.learner(*ENDLESS, "--set", "name=two")
    assert again.wait() == 1
    elsewhere = cluster.learner(*ENDLESS, "--set", "name=two", "--new")
    assert elsewhere.wait() == 1
    assert f"is in use by pid {two.pid} on " in again.printed
    assert "'two' is being trained by " in elsewhere.printed
    assert f"{cluster.runs / 'two' / '1'} on " in elsewhere.printed
    assert "Traceback" not in again.printed + elsewhere.printed
    assert cluster.run_path("two") == cluster.runs / "two" / "1"

    one.kill()
    cluster.until(lambda: "ended=full" in worker.printed, "full")
    send_play_task(cluster, "nobody")
    cluster.until(
        lambda: "experiment=nobody" in worker.printed, "a task for nobody's experiment ends"
    )
    assert 'experiment=nobody reason="no learner"' in worker.printed
    cluster.trains_on(experiment="two")

    assert cluster.tinyqueue("learner", "stop", "two").returncode == 0
    assert two.wait() == 0, two.printed
    outcome = json.loads(two.printed.splitlines()[-1])
    assert outcome["ended"] == "stopped"
    checkpoint = Checkpoints(cluster.runs / "two" / "1" / "checkpoints", keep=3).newest()
    assert checkpoint is not None
    assert checkpoint.env_steps == outcome["env_steps"] > 0
    assert cluster.tinyqueue("learner", "stop", "two").returncode == 1


def send_play_task(cluster: Cluster, experiment: str) -> None:
    settings = Settings(broker_url=cluster.broker_url, redis_url=cluster.redis_url)
    connection = TaskConnection(Broker(settings.broker))
    with closing(TaskSender(make_app(settings), connection, "play")) as sender:
        sender.play(new_id(), experiment=experiment, run=new_id(), spec_version=1, budget_s=2.0)


OWN = """
import os
from tinyqueue.algorithms.impala import Impala

with open({log!r}, "a") as log:
    log.write(f"{{os.getpid()}}\\n")


class Own(Impala):
    pass
"""


@pytest.mark.parametrize("services", ["embedded"], indirect=True)
def test_a_users_own_algorithm_is_imported_by_the_learner_alone(
    cluster: Cluster, tmp_path: Path
) -> None:
    file, log = tmp_path / "own.py", tmp_path / "imported"
    file.write_text(OWN.format(log=str(log)))
    worker = cluster.worker(children=2)
    learner = cluster.learner(*ENDLESS, "--set", f"algorithm.name={file}:Own", "--set", "name=own")
    cluster.trains_on(1, experiment="own")

    # Given that neither the file nor the run's copy is there any more
    file.unlink()
    shutil.rmtree(cluster.runs / "own" / "1" / "algorithm")

    # Then players play on, and nobody else has imported it
    cluster.trains_on(3, experiment="own")
    assert cluster.tinyqueue("info", str(cluster.runs / "own" / "1")).returncode == 0
    assert cluster.tinyqueue("learner", "stop", "own").returncode == 0
    assert learner.wait() == 0, learner.printed
    worker.terminate()
    assert worker.wait() == 0
    assert log.read_text().split() == [str(learner.pid)]
