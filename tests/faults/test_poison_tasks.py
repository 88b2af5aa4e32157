"""Given a play task that kills every worker it meets: it is put aside, and others go on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from cluster import ENDLESS, PRESET, Cluster
from fault_campaign.poison import lethal_task
from kombu import Connection

from tinyqueue.bus.topology import dead_letter_queue

pytestmark = [pytest.mark.integration, pytest.mark.faults]


@pytest.mark.parametrize("services", ["rabbitmq"], indirect=True)
def test_a_task_that_kills_its_worker_each_time_is_dead_lettered_after_three_deliveries(
    cluster: Cluster,
) -> None:
    folder = str(Path(__file__).parent)
    worker = cluster.worker(PYTHONPATH=with_path(folder), TINYQUEUE_ENVIRONMENT_MODULES="lethal")
    cluster.learner(*ENDLESS)
    cluster.trains_on(1)

    with lethal_task(cluster.broker_url, cluster.redis_url, like=PRESET) as task:
        cluster.until(lambda: "delivered too often" in worker.printed, "the task is put aside")

    assert worker.printed.count("exited with 'signal 9 (SIGKILL)'") == 3
    cluster.trains_on()
    assert worker.is_running
    assert dead_tasks(cluster) == [(task, "rejected")]


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
