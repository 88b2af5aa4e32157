"""Given task queues of either type, workers and senders that expect either: tasks are played."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from cluster import Cluster
from role_logins import RoleLogins, role_logins

from tinyqueue.bus.broker import Broker, new_channel
from tinyqueue.bus.task_connection import TaskConnection
from tinyqueue.bus.task_sender import TaskSender
from tinyqueue.bus.topology import task_queues
from tinyqueue.celery import make_app
from tinyqueue.local.rabbitmq_node import RabbitmqNode
from tinyqueue.settings import Settings

pytestmark = pytest.mark.integration

TYPES = ("classic", "quorum")


@pytest.fixture
def logins(rabbitmq: RabbitmqNode) -> Iterator[RoleLogins]:
    with role_logins(rabbitmq, "learner", "player") as logins:
        yield logins


@pytest.fixture
def cluster(logins: RoleLogins, redis_url: str, tmp_path: Path) -> Iterator[Cluster]:
    cluster = Cluster(logins.url("player"), redis_url, tmp_path)
    yield cluster
    cluster.stop()


def settings_of(logins: RoleLogins, queue_type: str) -> Settings:
    return Settings(broker_url=logins.url("learner"), queue_type=queue_type)


@contextmanager
def sending(logins: RoleLogins, queue_type: str) -> Iterator[Callable[[str], None]]:
    """Sends tasks as a learner does, each on a connection of its own."""
    settings = settings_of(logins, queue_type)
    app: Any = make_app(settings)
    connection = TaskConnection(Broker(settings.broker), tuple(app.amqp.queues.values()))

    def send(task: str) -> None:
        sender.play(task, experiment="nobody", run="r", spec_version=1, budget_s=1.0)
        connection.close()

    with closing(TaskSender(app, connection, "play")) as sender:
        yield send


@pytest.mark.parametrize("declares", [True, False], ids=["declares", "may-not-declare"])
@pytest.mark.parametrize("of_worker", TYPES)
@pytest.mark.parametrize("there", TYPES)
def test_a_worker_plays_whatever_its_queues_are(
    logins: RoleLogins, cluster: Cluster, there: str, of_worker: str, declares: bool
) -> None:
    with Broker(logins.url("learner")).open() as connection:
        for queue in task_queues(settings_of(logins, there)):
            bound: Any = queue(new_channel(connection))
            bound.declare()

    worker = cluster.celery(
        *("worker", "-Q", "play", "-c", "1", "-l", "INFO"),
        TINYQUEUE_BROKER_URL=logins.url("learner" if declares else "player"),
        TINYQUEUE_DECLARE=str(int(declares)),
        TINYQUEUE_QUEUE_TYPE=of_worker,
    )
    with sending(logins, there) as send:
        send("one")
        cluster.until(lambda: "task=one " in worker.printed, "a task is taken")
        send("two")
        cluster.until(lambda: "task=two " in worker.printed, "and another")

    is_said = "exists with another type" in worker.printed
    assert is_said == (declares and there != of_worker)


@pytest.mark.parametrize("of_sender", TYPES)
@pytest.mark.parametrize("there", TYPES)
def test_a_sender_takes_queues_as_they_are(logins: RoleLogins, there: str, of_sender: str) -> None:
    with sending(logins, there) as send:
        send("before")

    with sending(logins, of_sender) as send:
        send("one")
        send("two")

    with Broker(logins.url("learner")).open() as link:
        found: Any = new_channel(link).queue_declare("play", passive=True)
        assert found.message_count == 3
