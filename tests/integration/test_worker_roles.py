"""Given the logins of the roles: what a worker does under each, and what a player's cannot do."""

from __future__ import annotations

import contextlib
import json
import socket
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import amqp
import pytest
from amqp.exceptions import AccessRefused
from celery import Celery
from celery.events.event import event_exchange
from cluster import Cluster, Process
from kombu import Connection, Exchange, Queue
from role_logins import RoleLogins, role_logins

from tinyqueue.bus.broker import Broker
from tinyqueue.bus.task_connection import TaskConnection
from tinyqueue.bus.task_sender import TaskSender
from tinyqueue.bus.topology import dead_letter_queue, task_queues
from tinyqueue.celery import make_app
from tinyqueue.local.rabbitmq_node import RabbitmqNode
from tinyqueue.settings import Settings

pytestmark = pytest.mark.integration

PLAYERS = ("player", "visible-player")


@pytest.fixture(scope="module")
def logins(rabbitmq: RabbitmqNode) -> Iterator[RoleLogins]:
    """All roles, and the queues as an operator has declared them."""
    with role_logins(rabbitmq, *PLAYERS, "learner", "monitor") as logins:
        with Connection(logins.url("learner")) as connection:
            for queue in (dead_letter_queue(), *task_queues(Settings())):
                queue(connection.channel()).declare()
            event_exchange(connection.channel()).declare()
        yield logins


Start = Callable[..., Process]


@pytest.fixture
def cluster(logins: RoleLogins, redis_url: str, tmp_path: Path) -> Iterator[Cluster]:
    cluster = Cluster(logins.url("player"), redis_url, tmp_path)
    yield cluster
    cluster.stop()


@pytest.fixture
def start(logins: RoleLogins, cluster: Cluster) -> Start:
    """Starts a worker with no options but its queues."""

    def start(url: str, queues: str = "play", **env: str) -> Process:
        return cluster.celery(
            *("worker", "-Q", queues, "-c", "1", "-l", "INFO", "-n", "worker@here"),
            TINYQUEUE_BROKER_URL=url,
            **env,
        )

    return start


def administrator(logins: RoleLogins) -> str:
    return f"amqp://guest:guest@127.0.0.1:{logins.node.port}/{logins.vhost}"


def send(logins: RoleLogins, task: str) -> None:
    settings = Settings(broker_url=logins.url("learner"))
    connection = TaskConnection(Broker(settings.broker))
    with closing(TaskSender(make_app(settings), connection, "play")) as sender:
        sender.play(task, experiment="nobody", run="r", spec_version=1, budget_s=1.0)


@pytest.fixture
def seen_in_flower(logins: RoleLogins, cluster: Cluster) -> Callable[[], set[str]]:
    """Starts Flower with the monitor's login; call it for the workers that it shows."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    flower = cluster.celery(
        *("flower", "--address=127.0.0.1", f"--port={port}"),
        TINYQUEUE_BROKER_URL=logins.url("monitor"),
        TINYQUEUE_DECLARE="0",
    )

    def page(path: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=10) as answer:
            return answer.read()

    def answers() -> bool:
        assert flower.is_running, flower.printed
        with contextlib.suppress(OSError):
            return bool(page("healthcheck"))
        return False

    def seen() -> set[str]:
        workers = json.loads(page("workers?json=1"))["data"]
        return {worker["hostname"] for worker in workers}

    cluster.until(answers, "Flower answers")
    return seen


@pytest.mark.parametrize("role", PLAYERS)
def test_a_worker_without_options_plays_under_a_players_role_and_leaves_other_queues(
    logins: RoleLogins,
    cluster: Cluster,
    start: Start,
    seen_in_flower: Callable[[], set[str]],
    role: str,
) -> None:
    worker = start(logins.url(role), "play,evaluate")

    cluster.until(lambda: 'without it" queue=evaluate' in worker.printed, "a queue is left out")
    send(logins, role)

    cluster.until(lambda: f"task={role} " in worker.printed, "a task is taken")
    if role == "visible-player":
        cluster.until(lambda: seen_in_flower() == {"worker@here"}, "Flower shows the worker")
    else:
        time.sleep(5.0)
        assert seen_in_flower() == set()
    # Once for the queue; a loop would have refused hundreds by now.
    assert worker.printed.count("ACCESS_REFUSED") <= 2
    worker.terminate()
    assert worker.wait() == 0


def test_nobody_ends_or_grows_a_worker_that_has_not_asked_for_it(
    logins: RoleLogins, cluster: Cluster, start: Start
) -> None:
    # Not even the broker's administrator.
    url = administrator(logins)
    worker = start(url)
    cluster.until(lambda: "ready." in worker.printed, "the worker is ready")
    children = worker.children

    app: Any = Celery(broker=url)
    assert app.control.broadcast("pool_grow", arguments={"n": 2}, reply=True, timeout=1) == []
    app.control.broadcast("shutdown")
    send(logins, "after")

    cluster.until(lambda: "task=after " in worker.printed, "a task is taken")
    assert worker.is_running
    assert worker.children == children


@pytest.mark.parametrize("role", PLAYERS)
def test_a_players_login_reaches_no_workers_control_queue(logins: RoleLogins, role: str) -> None:
    control = Exchange("celery.pidbox", "fanout", durable=False)
    box = Queue("worker@here.celery.pidbox", control, durable=False, auto_delete=True)
    events = Exchange("celeryev", "topic")
    with Connection(administrator(logins)) as owner:
        channel: Any = owner.channel()
        box(channel).declare()
        events(channel).declare()
        Queue("celeryev.flower", events, routing_key="#", durable=False)(channel).declare()
        tries: dict[str, Callable[[Any], object]] = {
            "write": lambda c: c.basic_publish(amqp.Message(b"{}"), exchange="celery.pidbox"),
            "to the queue": lambda c: c.basic_publish(amqp.Message(b"{}"), routing_key=box.name),
            "declare": lambda c: control(c).declare(),
            "take over": lambda c: c.queue_declare(box.name, auto_delete=True, durable=False),
            "read": lambda c: c.basic_get(box.name),
            "bind": lambda c: c.queue_bind(box.name, "celery.pidbox"),
            "delete": lambda c: c.queue_delete(box.name),
            "listen": lambda c: c.queue_declare("celeryev.mine"),
            "read Flower's": lambda c: c.basic_get("celeryev.flower"),
        }
        for name, attempt in tries.items():
            assert is_refused(logins.url(role), attempt), f"{role} may {name}"
        channel.queue_delete("celeryev.flower")


def is_refused(url: str, attempt: Callable[[Any], object]) -> bool:
    with Connection(url, connect_timeout=5) as connection:
        channel: Any = connection.channel()
        try:
            attempt(channel)
            # A publish is refused when the next answer comes.
            channel.exchange_declare("celeryev", "topic", passive=True)
        except AccessRefused:
            return True
    return False


def test_a_worker_whose_events_have_no_place_to_go_plays_without_them(
    logins: RoleLogins, cluster: Cluster, start: Start
) -> None:
    # Given what a visible player may do to all others: declare another exchange of this name
    with Connection(administrator(logins)) as owner:
        channel: Any = owner.channel()
        channel.exchange_delete("celeryev")
        channel.exchange_declare("celeryev", "direct", durable=True, auto_delete=False)
        try:
            worker = start(logins.url("visible-player"))
            cluster.until(lambda: "Flower does not show" in worker.printed, "it is said")
            send(logins, "unseen")
            cluster.until(lambda: "task=unseen " in worker.printed, "a task is taken")
        finally:
            channel.exchange_delete("celeryev")


def test_a_queue_that_refuses_events_keeps_no_worker_from_its_tasks(
    logins: RoleLogins, cluster: Cluster, start: Start
) -> None:
    with Connection(administrator(logins)) as owner:
        event_exchange(owner.channel()).declare()
    # Given what a monitor may do
    with Connection(logins.url("monitor")) as monitor:
        channel: Any = monitor.channel()
        refusing = {"x-max-length": 0, "x-overflow": "reject-publish"}
        channel.queue_declare("celeryev.full", exclusive=True, arguments=refusing)
        channel.queue_bind("celeryev.full", "celeryev", "#")
        worker = start(logins.url("visible-player"))
        cluster.until(lambda: "ready." in worker.printed, "the worker is ready")

        send(logins, "unheard")
        cluster.until(lambda: "task=unheard " in worker.printed, "a task is taken")
        send(logins, "unheard-too")
        cluster.until(lambda: "task=unheard-too " in worker.printed, "and another")


def test_a_worker_waits_for_a_queue_that_another_login_consumes_exclusively(
    logins: RoleLogins, cluster: Cluster, start: Start
) -> None:
    with Connection(logins.url("player")) as other:
        channel: Any = other.channel()
        channel.basic_consume("play", exclusive=True, callback=lambda message: None)
        worker = start(logins.url("visible-player"))

        cluster.until(lambda: worker.printed.count("consumes a queue excl") > 6, "it is said")
        assert worker.is_running
    send(logins, "again")

    cluster.until(lambda: "task=again " in worker.printed, "a task is taken")
    assert "permissions of a role" not in worker.printed


def test_a_worker_that_is_refused_from_the_start_ends_and_says_what_to_do(
    logins: RoleLogins, start: Start
) -> None:
    began_s = time.monotonic()
    worker = start(logins.url("player"), TINYQUEUE_REMOTE_CONTROL="1")

    assert worker.wait() == 77
    said = worker.printed
    assert "celery.pidbox" in said
    assert "rabbitmq-permissions.tsv" in said
    assert "TINYQUEUE_REMOTE_CONTROL=0" in said
    assert said.count("ACCESS_REFUSED") < 30
    assert time.monotonic() - began_s < 100
