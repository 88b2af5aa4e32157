"""Given a play task that kills every worker it meets: it is put aside, and others go on."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from cluster import ENDLESS, PRESET, Cluster
from kombu import Connection

from tinyqueue.bus.broker import Broker
from tinyqueue.bus.task_connection import TaskConnection
from tinyqueue.bus.task_sender import TaskSender
from tinyqueue.bus.topology import dead_letter_queue
from tinyqueue.celery import make_app
from tinyqueue.data.identity import new_id
from tinyqueue.experiment.environment import EnvironmentConfig
from tinyqueue.settings import Settings
from tinyqueue.store.specs import SpecStore

pytestmark = [pytest.mark.integration, pytest.mark.faults]


@pytest.mark.parametrize("services", ["rabbitmq"], indirect=True)
def test_a_task_that_kills_its_worker_each_time_is_dead_lettered_after_three_deliveries(
    cluster: Cluster,
) -> None:
    folder = str(Path(__file__).parent)
    worker = cluster.worker(PYTHONPATH=with_path(folder), TINYQUEUE_ENVIRONMENT_MODULES="lethal")
    cluster.learner(*ENDLESS)
    cluster.trains_on(1)

    task = send_lethal_task(cluster)
    cluster.until(lambda: "delivered too often" in worker.printed, "the task is put aside")

    assert worker.printed.count("exited with 'signal 9 (SIGKILL)'") == 3
    cluster.trains_on()
    assert worker.is_running
    assert dead_tasks(cluster) == [(task, "rejected")]


def send_lethal_task(cluster: Cluster) -> str:
    store = SpecStore(cluster.redis)
    spec = store.load(PRESET)
    assert spec is not None
    graph = store.graph(PRESET, spec.graph_sha256)
    lethal = spec.model_copy(
        update={"experiment": "lethal", "environment": EnvironmentConfig(id="Lethal-v0")}
    )
    store.publish(lethal, graph)
    settings = Settings(broker_url=cluster.broker_url, redis_url=cluster.redis_url)
    task = new_id()
    connection = TaskConnection(Broker(settings.broker))
    with closing(TaskSender(make_app(settings), connection, "play")) as sender:
        sender.play(
            task, experiment="lethal", run=lethal.run, spec_version=lethal.version, budget_s=2.0
        )
    return task


def dead_tasks(cluster: Cluster) -> list[tuple[str, str]]:
    """Task id, and why the broker dead-lettered it."""
    found = []
    with Connection(cluster.broker_url) as connection, connection.channel() as channel:
        queue = dead_letter_queue()(channel)
        while (message := queue.get(no_ack=True)) is not None:
            deaths: Any = message.headers["x-death"]
            found.append((message.headers["id"], deaths[0]["reason"]))
    return found


def with_path(folder: str) -> str:
    return os.pathsep.join(filter(None, [folder, os.environ.get("PYTHONPATH", "")]))
