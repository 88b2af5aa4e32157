"""The permissions of config/services, applied to a real RabbitMQ."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from amqp.exceptions import AccessRefused, PreconditionFailed
from kombu import Connection, Exchange, Queue

from tinyqueue.bus.broker import Broker
from tinyqueue.bus.task_connection import TaskConnection
from tinyqueue.bus.task_sender import TaskSender
from tinyqueue.bus.topology import (
    EXPERIENCE_EXCHANGE,
    TASKS_EXCHANGE,
    dead_letter_queue,
    experience_queue,
    kept_queue,
    task_queues,
)
from tinyqueue.celery import make_app
from tinyqueue.local.rabbitmq_node import RabbitmqNode
from tinyqueue.settings import Settings

TABLE = Path(__file__).parents[2] / "config/services/rabbitmq-permissions.tsv"
VHOST = "permissions"

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def node(rabbitmq: RabbitmqNode) -> Iterator[RabbitmqNode]:
    """A node with one login per role, whose password is its name, and all queues declared."""
    rabbitmq.add_vhost(VHOST)
    rows = [line.split("\t") for line in TABLE.read_text().splitlines() if line[0] != "#"]
    for role, _tags, configure, write, read, keys in rows:
        rabbitmq.ctl("add_user", role, role)
        rabbitmq.ctl("set_permissions", "--vhost", VHOST, role, configure, write, read)
        rabbitmq.ctl(
            "set_topic_permissions", "--vhost", VHOST, role, EXPERIENCE_EXCHANGE, keys, ".*"
        )
    with login(rabbitmq, "learner") as connection:
        learners = (kept_queue("cartpole"), experience_queue("cartpole", 2), dead_letter_queue())
        for queue in (*learners, *task_queues(Settings())):
            queue(connection.channel()).declare()
    yield rabbitmq
    rabbitmq.delete_vhost(VHOST)
    for role, *_ in rows:
        rabbitmq.ctl("delete_user", role)


def login(node: RabbitmqNode, role: str) -> Connection:
    return Connection(
        f"amqp://{role}:{role}@127.0.0.1:{node.port}/{VHOST}",
        transport_options={"confirm_publish": True},
        connect_timeout=5,
    )


def publish(connection: Connection, exchange: str, key: str, user: str) -> None:
    connection.Producer().publish(b"x", exchange=exchange, routing_key=key, user_id=user, timeout=5)


@pytest.mark.parametrize("role", ["player", "visible-player"])
def test_a_player_publishes_sessions_under_its_own_name_only(node: RabbitmqNode, role: str) -> None:
    with login(node, role) as connection:
        publish(connection, EXPERIENCE_EXCHANGE, f"cartpole.{role}", role)
        with pytest.raises(AccessRefused):
            publish(connection, EXPERIENCE_EXCHANGE, "cartpole.another", role)
    with login(node, role) as connection, pytest.raises(PreconditionFailed):
        publish(connection, EXPERIENCE_EXCHANGE, f"cartpole.{role}", "another")
    with login(node, "learner") as connection:
        message = experience_queue("cartpole", 2)(connection.channel()).get(no_ack=True)
        assert message is not None
        assert message.body == b"x"


@pytest.mark.parametrize("role", ["player", "visible-player"])
def test_a_player_sends_no_task_and_declares_no_queue(node: RabbitmqNode, role: str) -> None:
    with login(node, role) as connection, pytest.raises(AccessRefused):
        publish(connection, TASKS_EXCHANGE, "play", role)
    with login(node, role) as connection, pytest.raises(AccessRefused):
        Queue("experience.cartpole.copy", Exchange(""))(connection.channel()).queue_declare()
    with login(node, role) as connection, pytest.raises(AccessRefused):
        connection.SimpleQueue("experience.cartpole", no_ack=True).get(timeout=1)


def test_a_player_takes_tasks_that_the_learner_sent(node: RabbitmqNode) -> None:
    with login(node, "learner") as connection:
        publish(connection, TASKS_EXCHANGE, "play", "learner")

    with login(node, "player") as connection:
        message = Queue("play", no_declare=True)(connection.channel()).get(no_ack=True)

    assert message is not None


def test_tasks_of_a_learner_share_one_channel_and_leave_no_event_behind(
    node: RabbitmqNode,
) -> None:
    url = f"amqp://learner:learner@127.0.0.1:{node.port}/{VHOST}"
    app, connection = make_app(Settings(broker_url=url)), TaskConnection(Broker(url))
    sender = TaskSender(app, connection, "play")

    channels = set()
    for number in range(3):
        sender.play(f"t{number}", experiment="pole", run="r", spec_version=1, budget_s=1.0)
        channels.add(connection.producer().channel.channel_id)

    assert len(channels) == 1
    amqp: Any = app.amqp
    assert not amqp._event_dispatcher._outbound_buffer
    sender.close()


def test_a_monitor_sees_queue_depths_and_publishes_nothing(node: RabbitmqNode) -> None:
    with login(node, "monitor") as connection:
        channel: Any = connection.channel()
        _, depth, _ = channel.queue_declare("play", passive=True)
        assert depth >= 0
        with pytest.raises(AccessRefused):
            publish(connection, TASKS_EXCHANGE, "play", "monitor")
