"""No login is sent to a host that does not prove its name, whoever connects."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from kombu import pools
from kombu.exceptions import OperationalError
from tls import PASSWORD, Authority, Listener, TlsRabbitmq, TlsRedis

from tinyqueue.bus.broker import Broker
from tinyqueue.bus.task_connection import TaskConnection
from tinyqueue.bus.task_sender import TaskSender
from tinyqueue.bus.topology import tasks_exchange
from tinyqueue.celery import make_app
from tinyqueue.errors import TinyqueueError
from tinyqueue.settings import Settings
from tinyqueue.store.client import connect

# On one process of pytest: the servers take seconds to start.
pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("tls")]

WORKER = ("worker", "-c", "1", "-Q", "play", "--loglevel", "INFO")
REFUSED = (TinyqueueError, OperationalError, OSError)


@dataclass(frozen=True)
class World:
    """Servers with certificates for localhost, and who else may listen there."""

    authority: Authority
    ports: dict[str, int]
    other_name: tuple[Path, Path]
    unknown_authority: tuple[Path, Path]

    def url(self, scheme: str, port: int, query: str = "") -> str:
        login = "guest:guest" if scheme == "amqps" else f":{PASSWORD}"
        end = "//" if scheme == "amqps" else "/0"
        query = query or f"?ssl_ca_certs={self.authority.file}"
        return f"{scheme}://{login}@localhost:{port}{end}{query}"

    def right(self, scheme: str, query: str = "") -> str:
        return self.url(scheme, self.ports[scheme], query)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("tls")
    authority, stranger = Authority(folder / "ca"), Authority(folder / "stranger")
    right = authority.certificate("localhost")
    with (
        TlsRedis(folder / "redis", right, authority.file) as redis,
        TlsRabbitmq(folder / "rabbitmq", right, authority.file) as rabbitmq,
    ):
        yield World(
            authority,
            {"amqps": rabbitmq.tls_port, "rediss": redis.port},
            authority.certificate("other.example"),
            stranger.certificate("localhost"),
        )


def use(connection: Any) -> None:
    connection.channel().close()


def our_own(url: str) -> None:
    with Broker(url).open() as connection:
        use(connection)


def clone_of_our_own(url: str) -> None:
    with Broker(url).connection().clone() as connection:
        connection.ensure_connection(max_retries=1, interval_start=0)
        use(connection)


def workers_consumer(url: str) -> None:
    with make_app(Settings(broker_url=url)).connection_for_read() as connection:
        connection.ensure_connection(max_retries=1, interval_start=0)
        use(connection)


def workers_pool(url: str) -> None:
    app = make_app(Settings(broker_url=url))
    with app.connection_or_acquire() as connection:
        connection.ensure_connection(max_retries=1, interval_start=0)
        use(connection)
    pools.reset()


def remote_control(url: str) -> None:
    app = make_app(Settings(broker_url=url))
    app.conf.worker_enable_remote_control = True
    with app.connection_for_write() as connection:
        connection.ensure_connection(max_retries=1, interval_start=0)
        assert app.control.inspect(timeout=0.1, connection=connection).ping() is None


def task_sender(url: str) -> None:
    broker = Broker(url)
    app = make_app(Settings(broker_url=url))
    with broker.open() as connection:
        for queue in app.amqp.queues.values():
            queue(connection.channel()).declare()
    sender = TaskSender(app, TaskConnection(broker), "play", tasks_exchange(broker.kind))
    sender.play("t", experiment="pole", run="r", spec_version=1, budget_s=1.0)
    sender.close()


def store(url: str) -> None:
    connect(url).close()


CLIENTS = [our_own, clone_of_our_own, workers_consumer, workers_pool, remote_control, task_sender]
EVERY = [
    *[(scheme, client) for scheme in ("amqps", "rediss") for client in CLIENTS],
    ("rediss", store),
]
every_client = pytest.mark.parametrize(
    ("scheme", "client"), EVERY, ids=[f"{scheme}-{client.__name__}" for scheme, client in EVERY]
)
Client = Callable[[str], None]


@every_client
def test_the_right_host_is_let_in(world: World, scheme: str, client: Client) -> None:
    client(world.right(scheme))


@every_client
@pytest.mark.parametrize("wrong", ["other_name", "unknown_authority"])
def test_a_host_that_does_not_prove_its_name_hears_no_login(
    world: World, scheme: str, client: Client, wrong: str
) -> None:
    with Listener(getattr(world, wrong)) as listener, pytest.raises(REFUSED):
        client(world.url(scheme, listener.port))

    assert listener.calls
    assert listener.heard == b""


@every_client
def test_an_authority_that_is_not_named_is_not_trusted(
    world: World, scheme: str, client: Client
) -> None:
    with pytest.raises(REFUSED):
        client(world.right(scheme, query="?"))


lists = pytest.mark.parametrize(
    ("scheme", "client"),
    [every for every in EVERY if every[1] is not store],
    ids=[f"{scheme}-{client.__name__}" for scheme, client in EVERY if client is not store],
)


@lists
@pytest.mark.parametrize("wrong", ["other_name", "unknown_authority"])
def test_of_several_hosts_the_one_that_proves_its_name_is_taken(
    world: World, scheme: str, client: Client, wrong: str
) -> None:
    with Listener(getattr(world, wrong)) as listener:
        client(f"{world.url(scheme, listener.port)};{world.right(scheme)}")

    assert listener.calls
    assert listener.heard == b""


@lists
@pytest.mark.parametrize("first", ["", "?ssl_cert_reqs=none"])
def test_the_second_of_several_hosts_is_checked_by_its_own_name(
    world: World, scheme: str, client: Client, first: str
) -> None:
    with Listener(world.other_name) as listener, pytest.raises(REFUSED):
        client(f"{world.url(scheme, 1, first)};{world.url(scheme, listener.port)}")

    assert listener.heard == b""


@pytest.mark.parametrize("scheme", ["amqps", "rediss"])
def test_the_authority_may_be_a_setting(
    world: World, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = world.right(scheme, query="?")
    settings = Settings(
        broker_url=url,
        redis_url=world.right("rediss", query="?"),
        tls_ca_certs=str(world.authority.file),
    )

    our_own(settings.broker)
    workers_consumer(settings.broker)
    store(settings.redis)


@pytest.mark.parametrize("scheme", ["amqps", "rediss"])
def test_a_check_is_only_left_out_by_name(world: World, scheme: str) -> None:
    with Listener(world.other_name) as listener:
        query = f"?ssl_ca_certs={world.authority.file}&ssl_check_hostname=false"
        with pytest.raises(REFUSED):
            our_own(world.url(scheme, listener.port, query))

    assert listener.heard


def celery(url: str, *arguments: str, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "celery", "-A", "tinyqueue", *arguments],
        env={**os.environ, "TINYQUEUE_BROKER_URL": url, "TINYQUEUE_REMOTE_CONTROL": "1"},
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


@pytest.mark.parametrize("scheme", ["amqps", "rediss"])
@pytest.mark.parametrize("command", [("status",), ("inspect", "ping")], ids=" ".join)
def test_the_commands_of_celery_send_no_login_to_another(
    world: World, scheme: str, command: tuple[str, ...]
) -> None:
    with Listener(world.other_name) as listener:
        done = celery(world.url(scheme, listener.port), *command)

    assert done.returncode != 0
    assert listener.calls
    assert listener.heard == b""


@pytest.mark.parametrize("scheme", ["amqps", "rediss"])
def test_a_worker_passes_by_the_wrong_host_and_is_seen_at_the_right_one(
    world: World, scheme: str, tmp_path: Path
) -> None:
    log = tmp_path / "worker.log"
    with Listener(world.other_name) as listener, log.open("wb") as output:
        url = f"{world.url(scheme, listener.port)};{world.right(scheme)}"
        worker = subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", "tinyqueue", *WORKER],
            env={**os.environ, "TINYQUEUE_BROKER_URL": url, "TINYQUEUE_REMOTE_CONTROL": "1"},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            deadline_s = time.monotonic() + 60
            while "ready." not in log.read_text():
                assert worker.poll() is None, log.read_text()
                assert time.monotonic() < deadline_s, log.read_text()
                time.sleep(0.1)
            seen = celery(world.right(scheme), "status", "--timeout", "10")
        finally:
            worker.terminate()
            worker.wait(30)

    assert "1 node online" in seen.stdout
    assert listener.calls
    assert listener.heard == b""


@pytest.mark.parametrize("wrong", ["other_name", "unknown_authority"])
@pytest.mark.parametrize("scheme", ["amqps", "rediss"])
def test_a_learner_sends_no_login_to_another_host(
    world: World, scheme: str, wrong: str, tmp_path: Path
) -> None:
    with Listener(getattr(world, wrong)) as listener:
        urls = {kind: world.right(kind) for kind in ("amqps", "rediss")}
        urls[scheme] = world.url(scheme, listener.port)
        learner = subprocess.Popen(
            [sys.executable, "-m", "tinyqueue.cli.main", "learner", "start", "cartpole-impala"],
            env={
                **os.environ,
                "TINYQUEUE_BROKER_URL": urls["amqps"],
                "TINYQUEUE_REDIS_URL": urls["rediss"],
                "TINYQUEUE_RUNS_DIR": str(tmp_path),
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            deadline_s = time.monotonic() + 120
            while not listener.calls:
                assert time.monotonic() < deadline_s
                time.sleep(0.1)
            time.sleep(1.0)
        finally:
            learner.terminate()
            learner.wait(60)

    assert listener.heard == b""
