"""Real servers for tests: one of each per run, a fresh corner of it per test."""

from __future__ import annotations

import os
import secrets
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import hypothesis
import pytest
import redis
import structlog
from cluster import Cluster

from tinyqueue.local.rabbitmq_node import RabbitmqNode
from tinyqueue.local.redis_server import RedisServer

# How long an example takes says how busy the machine is, and tests run side by side.
hypothesis.settings.register_profile(
    "tinyqueue",
    deadline=None,
    max_examples=50,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("tinyqueue")


# A shell starts background jobs with SIGINT ignored, nohup ignores SIGHUP, and what is ignored is
# ignored by every process that a test starts.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


@dataclass(frozen=True)
class Services:
    """A broker and a store that no other test uses at the same time.

    Attributes:
        kind: ``"rabbitmq"`` or ``"embedded"`` (the same Redis is broker and store).
        node: The node behind ``broker_url``; None when it is not a private RabbitMQ.
        redis: The server behind ``redis_url``; None when it is not a private one.
    """

    kind: str
    broker_url: str
    redis_url: str
    node: RabbitmqNode | None = None
    redis: RedisServer | None = None


@pytest.fixture(autouse=True)
def log_of_its_own() -> Iterator[None]:
    """No test decides where the next one's log lines go, as programs and commands do."""
    yield
    if structlog.is_configured():
        structlog.reset_defaults()


STARTS_A_SERVER = {"rabbitmq", "redis_server", "redis_url", "services"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever needs a server is an integration test, whether or not its file says so."""
    for item in items:
        if STARTS_A_SERVER & set(getattr(item, "fixturenames", ())):
            item.add_marker("integration")


@pytest.fixture(scope="session")
def rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitmqNode]:
    """One private node for the whole run; skipped when TINYQUEUE_TEST_BROKER_URL is given."""
    if os.environ.get("TINYQUEUE_TEST_BROKER_URL"):
        pytest.skip("TINYQUEUE_TEST_BROKER_URL is given, and this test needs a node of its own")
    with RabbitmqNode(tmp_path_factory.mktemp("rabbitmq")) as node:
        yield node


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One private server for the whole run; skipped when TINYQUEUE_TEST_REDIS_URL is given."""
    if os.environ.get("TINYQUEUE_TEST_REDIS_URL"):
        pytest.skip("TINYQUEUE_TEST_REDIS_URL is given, and this test needs a server of its own")
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def redis_url(request: pytest.FixtureRequest) -> str:
    """An empty Redis: TINYQUEUE_TEST_REDIS_URL, else the run's private server."""
    url = os.environ.get("TINYQUEUE_TEST_REDIS_URL")
    if not url:
        server: RedisServer = request.getfixturevalue("redis_server")
        url = server.redis_url
    with redis.Redis.from_url(url) as client:
        client.flushall()
    return url


@pytest.fixture(params=["rabbitmq", "embedded"])
def services(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Services]:
    """Both sets of services, one after the other, and nothing in them from another test."""
    if request.param == "embedded":
        with RedisServer(tmp_path / "redis") as server:
            yield Services("embedded", server.broker_url, server.redis_url, redis=server)
        return
    redis_url: str = request.getfixturevalue("redis_url")
    own_redis = None
    if not os.environ.get("TINYQUEUE_TEST_REDIS_URL"):
        own_redis = request.getfixturevalue("redis_server")
    external = os.environ.get("TINYQUEUE_TEST_BROKER_URL")
    if external:
        yield Services("rabbitmq", external, redis_url, redis=own_redis)
        return
    node: RabbitmqNode = request.getfixturevalue("rabbitmq")
    vhost = f"test-{secrets.token_hex(4)}"
    yield Services("rabbitmq", node.add_vhost(vhost), redis_url, node=node, redis=own_redis)
    node.delete_vhost(vhost)


@pytest.fixture
def cluster(services: Services, tmp_path: Path) -> Iterator[Cluster]:
    """Workers and learners on both sets of services, one after the other."""
    cluster = Cluster(services.broker_url, services.redis_url, tmp_path / "cluster")
    yield cluster
    cluster.stop()
