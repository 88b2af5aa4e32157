"""The permissions of config/services, applied to a real RabbitMQ."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from amqp import Message
from amqp.exceptions import AccessRefused, PreconditionFailed
from celery.events.event import event_exchange
from kombu import Connection, Exchange, Queue

from tinyqueue.bus.broker import Broker
from tinyqueue.bus.experience_copy import ExperienceCopy
from tinyqueue.bus.task_connection import TaskConnection
from tinyqueue.bus.task_sender import TaskSender
from tinyqueue.bus.topology import (
    EXPERIENCE_EXCHANGE,
    KEPT_EXCHANGE,
    TASKS_EXCHANGE,
    dead_letter_queue,
    evaluation_routing_key,
    experience_queue,
    kept_queue,
    task_queues,
)
from tinyqueue.celery import make_app
from tinyqueue.errors import ConfigError
from tinyqueue.local.rabbitmq_node import RabbitmqNode
from tinyqueue.settings import Settings

TABLE = Path(__file__).parents[2] / "config/services/rabbitmq-permissions.tsv"
ROWS = [line.split("\t") for line in TABLE.read_text().splitlines() if line[0] != "#"]
VHOST = "permissions"
KIND, KINDS = "x-queue-type", ("classic", "quorum", "stream")

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def node(rabbitmq: RabbitmqNode) -> Iterator[RabbitmqNode]:
    """A node with one login per role, whose password is its name, and all queues declared."""
    rabbitmq.add_vhost(VHOST)
    for role, _tags, configure, write, read, keys in ROWS:
        internal(rabbitmq, "add_user", role, role)
        internal(rabbitmq, "set_permissions", role, VHOST, configure, write, read)
        internal(rabbitmq, "set_topic_permissions", role, VHOST, EXPERIENCE_EXCHANGE, keys, ".*")
    with login(rabbitmq, "learner") as connection:
        learners = (
            kept_queue("cartpole", 2, 3),
            experience_queue("cartpole", 2),
            dead_letter_queue(),
        )
        for queue in (*learners, *task_queues(Settings())):
            queue(connection.channel()).declare()
    yield rabbitmq
    rabbitmq.delete_vhost(VHOST)
    for role, *_ in ROWS:
        internal(rabbitmq, "delete_user", role)


def internal(node: RabbitmqNode, function: str, *texts: str) -> None:
    """Does what a command of rabbitmqctl does, in 20 ms instead of half a second."""
    escaped = [text.replace("\\", r"\\") for text in (*texts, "tests")]
    arguments = ", ".join(f'<<"{text}">>' for text in escaped)
    node.eval(f"rabbit_auth_backend_internal:{function}({arguments}).")


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


@pytest.mark.parametrize("role", ["player", "visible-player", "evaluator"])
@pytest.mark.parametrize("header", ["CC", "BCC"])
def test_a_player_reaches_no_queue_of_what_a_restart_drops(
    node: RabbitmqNode, role: str, header: str
) -> None:
    keys = [".kept.cartpole", "cartpole", "experience.cartpole.kept", "nobody.another"]
    with login(node, role) as connection:
        channel: Any = connection.channel()
        message = Message(b"x", user_id=role, application_headers={header: keys})
        channel.basic_publish_confirm(message, EXPERIENCE_EXCHANGE, f"nobody.{role}")
    for exchange in ("", KEPT_EXCHANGE):
        with login(node, role) as connection, pytest.raises(AccessRefused):
            publish(connection, exchange, "cartpole", role)

    with login(node, "learner") as connection:
        of_learner: Any = connection.channel()
        kept = kept_queue("cartpole", 2, 3)(of_learner)
        assert kept.get(no_ack=True) is None
        # Which the plain name of the experiment matches: a message of its own login.
        copy = of_learner.basic_get("experience.cartpole", no_ack=True)
        assert copy.properties["user_id"] == role
        assert copy.delivery_info["routing_key"] == f"nobody.{role}"


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


@pytest.mark.parametrize("role", ["player", "visible-player"])
def test_a_player_neither_takes_evaluation_tasks_nor_answers_them(
    node: RabbitmqNode, role: str
) -> None:
    with login(node, role) as connection, pytest.raises(AccessRefused):
        Queue("evaluate", no_declare=True)(connection.channel()).get(no_ack=True)
    with login(node, role) as connection, pytest.raises(AccessRefused):
        publish(connection, EXPERIENCE_EXCHANGE, evaluation_routing_key("cartpole", role), role)


def test_an_evaluator_answers_tasks_under_its_own_name_only(node: RabbitmqNode) -> None:
    with login(node, "learner") as connection:
        publish(connection, TASKS_EXCHANGE, "evaluate", "learner")
    own, another = (evaluation_routing_key("cartpole", user) for user in ("evaluator", "player"))

    with login(node, "evaluator") as connection:
        assert Queue("evaluate", no_declare=True)(connection.channel()).get(no_ack=True)
        publish(connection, EXPERIENCE_EXCHANGE, own, "evaluator")
        with pytest.raises(AccessRefused):
            publish(connection, EXPERIENCE_EXCHANGE, another, "evaluator")

    with login(node, "learner") as connection:
        message = experience_queue("cartpole", 2)(connection.channel()).get(no_ack=True)
        assert message is not None
        assert message.delivery_info["routing_key"] == own


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


QUEUES = [
    "experience.cartpole",
    "experience.cartpole.kept",
    "tinyqueue.dead",
    "play",
    "evaluate",
]
EXCHANGES = [
    EXPERIENCE_EXCHANGE,
    KEPT_EXCHANGE,
    TASKS_EXCHANGE,
    "tinyqueue.dead",
    "celeryev",
    "celery.pidbox",
]
ON_A_QUEUE: dict[str, Callable[[Any, str], object]] = {
    "get": lambda channel, queue: channel.basic_get(queue, no_ack=True),
    "consume": lambda channel, queue: channel.basic_consume(queue, callback=print),
    "purge": lambda channel, queue: channel.queue_purge(queue),
    "delete": lambda channel, queue: channel.queue_delete(queue),
    "declare": lambda channel, queue: channel.queue_declare(queue),
    "publish": lambda channel, queue: channel.basic_publish_confirm(Message("x"), "", queue),
    "bind": lambda channel, queue: channel.queue_bind(queue, "celeryev", "#"),
}
ON_AN_EXCHANGE: dict[str, Callable[[Any, str], object]] = {
    "publish": lambda channel, exchange: channel.basic_publish_confirm(
        Message("x"), exchange, "cartpole.monitor"
    ),
    "declare": lambda channel, exchange: channel.exchange_declare(exchange, "topic"),
    "delete": lambda channel, exchange: channel.exchange_delete(exchange),
}
REFUSED = [
    *((f"{act}-{name}", do, name) for act, do in ON_A_QUEUE.items() for name in QUEUES),
    *((f"{act}-exchange-{x}", do, x) for act, do in ON_AN_EXCHANGE.items() for x in EXCHANGES),
]


@pytest.fixture(scope="module")
def filled(node: RabbitmqNode) -> dict[str, int]:
    """A message in every queue: queue → its depth."""
    with login(node, "learner") as connection:
        event_exchange(connection.channel()).declare()
        for queue in ("play", "evaluate"):
            publish(connection, TASKS_EXCHANGE, queue, "learner")
        publish(connection, "tinyqueue.dead", "cartpole", "learner")
        publish(connection, EXPERIENCE_EXCHANGE, "cartpole.learner", "learner")
    return depths(node)


def depths(node: RabbitmqNode) -> dict[str, int]:
    """As a monitor sees them: asking for a depth needs no right to a queue."""
    with login(node, "monitor") as connection:
        channel: Any = connection.channel()
        return {name: channel.queue_declare(name, passive=True)[1] for name in QUEUES}


@pytest.mark.parametrize(("do", "name"), [row[1:] for row in REFUSED], ids=[r[0] for r in REFUSED])
def test_a_monitor_sees_depths_and_can_neither_take_nor_send_nor_change(
    node: RabbitmqNode, filled: dict[str, int], do: Callable[[Any, str], object], name: str
) -> None:
    with login(node, "monitor") as connection, pytest.raises(AccessRefused):
        do(connection.channel(), name)

    assert depths(node) == filled
    assert [name for name, depth in filled.items() if not depth] == ["experience.cartpole.kept"]


def test_a_monitor_captures_events_and_declares_no_exchange(node: RabbitmqNode) -> None:
    with login(node, "learner") as connection:
        event_exchange(connection.channel()).declare()
    url = f"amqp://monitor:monitor@127.0.0.1:{node.port}/{VHOST}"
    done = subprocess.run(
        [sys.executable, "-c", CAPTURES],
        env={**os.environ, "TINYQUEUE_BROKER_URL": url, "TINYQUEUE_DECLARE": "0"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout == "worker-online\n"


CAPTURES = """
from celery.events import EventReceiver
from tinyqueue.celery import app

app.conf.worker_enable_remote_control = False

def seen(event):
    print(event["type"])
    receiver.should_stop = True

def send():
    url = app.conf.broker_url.replace("monitor:monitor", "learner:learner")
    with app.connection(url) as connection, app.events.Dispatcher(connection) as dispatcher:
        dispatcher.send("worker-online")
    receiver.on_iteration = lambda: None

with app.connection() as connection:
    receiver = EventReceiver(connection, handlers={"*": seen}, app=app)
    receiver.on_iteration = send
    for _ in receiver.consume(limit=None, timeout=20, wakeup=True):
        pass
"""


def test_a_copy_takes_nothing_from_the_learner(node: RabbitmqNode) -> None:
    url = f"amqp://learner:learner@127.0.0.1:{node.port}/{VHOST}"
    copy = ExperienceCopy(Broker(url), "cartpole", 4)
    with login(node, "player") as connection:
        publish(connection, EXPERIENCE_EXCHANGE, "cartpole.player", "player")
    found = copy.take(10.0)
    copy.close()

    assert found is not None
    assert (found.body, found.login) == (b"x", "player")
    with login(node, "learner") as connection:
        # The learner's is still there.
        message = experience_queue("cartpole", 2)(connection.channel()).get(no_ack=True)
        assert message is not None


@pytest.mark.parametrize("role", [row[0] for row in ROWS if row[0] != "learner"])
@pytest.mark.parametrize("name", ["experience.cartpole.copy-0", "celeryev.mine", "mine", ""])
def test_no_role_but_a_learners_binds_a_queue_to_what_is_played(
    node: RabbitmqNode, role: str, name: str
) -> None:
    # One that refuses messages would have RabbitMQ refuse them to every player.
    refusing = {"x-max-length": 0, "x-overflow": "reject-publish"}

    def bind(channel: Any) -> None:
        queue = channel.queue_declare(name, exclusive=True, arguments=refusing).queue
        channel.queue_bind(queue, EXPERIENCE_EXCHANGE, "#")

    with login(node, role) as connection, pytest.raises(AccessRefused):
        bind(connection.channel())


def test_a_login_that_may_not_read_is_told_which_role_to_take(node: RabbitmqNode) -> None:
    url = f"amqp://player:player@127.0.0.1:{node.port}/{VHOST}"
    with pytest.raises(ConfigError, match="Give it the role learner"):
        ExperienceCopy(Broker(url), "cartpole", 4)


def test_the_script_makes_logins_and_bounds_the_queues_that_they_declare(
    node: RabbitmqNode, tmp_path: Path
) -> None:
    vhost = "scripted"
    (tmp_path / "password").write_text("seen")
    ctl = f"{node._sbin / 'rabbitmqctl'} --node {node._name}"
    script = TABLE.parents[2] / "scripts/rabbitmq-users.sh"
    done = subprocess.run(
        ["sh", str(script), f"flower=monitor:{tmp_path / 'password'}"],
        env={**node._environment(), "VHOST": vhost, "RABBITMQCTL": ctl},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    try:
        assert done.returncode == 0, done.stderr
        url = f"amqp://flower:seen@127.0.0.1:{node.port}/{vhost}"
        with Connection(url, connect_timeout=5) as connection:
            channel: Any = connection.channel()
            channel.exchange_declare("celeryev.own", "fanout")
            channel.queue_declare("celeryev.own", durable=True, auto_delete=False)
            channel.queue_bind("celeryev.own", "celeryev.own")
            for _ in range(10_500):
                channel.basic_publish(Message(b"event"), "celeryev.own", "")
            channel.basic_publish_confirm(Message(b"last"), "celeryev.own", "")
            depth = channel.queue_declare("celeryev.own", passive=True).message_count
        assert depth == 10_000
        with Connection(node.add_vhost(vhost), connect_timeout=5) as connection:
            channel = connection.channel()
            for name, kind in product(("celeryev.a", "experience.pole.copy-0a"), KINDS):
                channel.queue_declare(
                    f"{name}{kind}", durable=True, auto_delete=False, arguments={KIND: kind}
                )
        unbound = node.eval(
            f'[Q || Q <- rabbit_amqqueue:list(<<"{vhost}">>), '
            "amqqueue:get_operator_policy(Q) =:= undefined]."
        )
        assert unbound == "{ok, []}"
    finally:
        node.delete_vhost(vhost)
        internal(node, "delete_user", "flower")
