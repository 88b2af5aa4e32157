"""Given a worker whose broker goes away, or that cannot play what it is given."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from balancing import BALANCES, graph, spec, version
from cluster import Cluster
from fault_campaign.proxy import Proxy
from kombu import Connection

from tinyqueue.bus.broker import Broker
from tinyqueue.bus.task_connection import TaskConnection
from tinyqueue.bus.task_sender import TaskSender
from tinyqueue.bus.topology import experience_queue
from tinyqueue.celery import make_app
from tinyqueue.errors import ServiceUnreachableError
from tinyqueue.experiment.environment import EnvironmentConfig
from tinyqueue.local.rabbitmq_node import RabbitmqNode
from tinyqueue.settings import Settings
from tinyqueue.store.keys import Keys
from tinyqueue.store.specs import SpecStore
from tinyqueue.store.weights import WeightStore

pytestmark = [
    pytest.mark.integration,
    pytest.mark.parametrize("services", ["rabbitmq"], indirect=True),
]

LIMIT_S = 3.0
OUTAGE_S = 6.0
"""Longer than the limit of the tasks, as 60 s are longer than the usual 30 s."""


class Learner:
    """Sends tasks as learners do, and takes no batch: tasks last until their budget is spent."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        settings = Settings(broker_url=cluster.broker_url, redis_url=cluster.redis_url)
        self._sender = TaskSender(
            make_app(settings), TaskConnection(Broker(settings.broker)), "play"
        )

    def publish(self, experiment: str, run: str, **environment: str) -> None:
        played = spec(experiment, run)
        if environment:
            played = played.model_copy(update={"environment": EnvironmentConfig(**environment)})
        SpecStore(self._cluster.redis).publish(played, graph())
        WeightStore(self._cluster.redis, experiment).publish(version(1, BALANCES, run))
        self.hold_lease(experiment, run)
        with Connection(self._cluster.broker_url) as connection:
            experience_queue(experiment, 2)(connection.channel()).declare()

    def hold_lease(self, experiment: str, run: str) -> None:
        self._cluster.redis.hset(Keys(experiment).lease, "run", run)

    def send(self, task: str, experiment: str, run: str, budget_s: float = 1.0) -> None:
        self._sender.play(
            task,
            experiment=experiment,
            run=run,
            spec_version=1,
            budget_s=budget_s,
            limit_s=LIMIT_S,
        )

    def close(self) -> None:
        self._sender.close()


@pytest.fixture
def learner(cluster: Cluster) -> Iterator[Learner]:
    learner = Learner(cluster)
    yield learner
    learner.close()


def test_an_outage_longer_than_any_time_limit_ends_no_child(
    cluster: Cluster, learner: Learner, rabbitmq: RabbitmqNode
) -> None:
    worker = cluster.worker(children=2)
    learner.publish("pole", "a-run")
    for task in ("warm", "up"):
        learner.send(task, "pole", "a-run")
    cluster.until(lambda: worker.printed.count("task played") >= 2, "both children play")
    children = set(worker.children)

    for task in ("in", "hand"):
        learner.send(task, "pole", "a-run", budget_s=2.0)
    cluster.until(lambda: worker.printed.count("received") >= 4, "both children play again")
    rabbitmq.stop()
    time.sleep(OUTAGE_S)
    rabbitmq.start()

    def is_back() -> bool:
        learner.send("after", "pole", "a-run")
        return "task=after" in worker.printed

    cluster.until(lambda: quietly(is_back), "the worker is back")
    assert set(worker.children) == children
    assert "SoftTimeLimitExceeded" not in worker.printed
    assert "exited" not in worker.printed


def quietly(attempt: Callable[[], bool]) -> bool:
    """What it returns; False while the broker is not there."""
    time.sleep(0.5)
    try:
        return attempt()
    except ServiceUnreachableError:
        return False


@pytest.fixture
def proxy(rabbitmq: RabbitmqNode) -> Iterator[Proxy]:
    proxy = Proxy(rabbitmq.port)
    yield proxy
    proxy.close()


def test_a_worker_stops_though_its_broker_has_gone_without_a_word(
    cluster: Cluster, learner: Learner, rabbitmq: RabbitmqNode, proxy: Proxy
) -> None:
    url = cluster.broker_url.replace(f":{rabbitmq.port}", f":{proxy.port}")
    worker = cluster.worker(TINYQUEUE_BROKER_URL=url)
    learner.publish("pole", "a-run")
    learner.send("first", "pole", "a-run")
    cluster.until(lambda: "task=first" in worker.printed, "it plays")

    proxy.fall_silent()
    proxy.pass_again(lost=True)
    began_s = time.monotonic()
    worker.terminate()

    worker.wait()
    assert time.monotonic() - began_s < 60


def test_a_backlog_of_an_ended_run_is_over_at_once(cluster: Cluster, learner: Learner) -> None:
    worker = cluster.worker()
    learner.publish("pole", "a-run")
    learner.send("first", "pole", "a-run")
    cluster.until(lambda: "task=first" in worker.printed, "a stage is open")

    learner.hold_lease("pole", "b-run")
    time.sleep(1.0)
    for number in range(300):
        learner.send(f"late-{number}", "pole", "a-run", budget_s=5.0)
    sent_s = time.monotonic()

    cluster.until(lambda: worker.printed.count('reason="other run"') == 300, "all are over")
    assert time.monotonic() - sent_s < 60
    assert worker.printed.count("task played") == 1


HASTY = """
from tinyqueue.local import worker_wide
from tinyqueue.player import rests

worker_wide.REFUSING_S = 3.0
rests.UNFIT = rests.Growth(0.25, 30.0)
"""
"""For rests that last seconds in all, instead of a minute."""


def test_a_worker_that_can_play_nothing_rests_and_ends_itself_with_the_reason(
    cluster: Cluster, learner: Learner, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(HASTY)
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    worker = cluster.worker(PYTHONPATH=path, TINYQUEUE_ENVIRONMENT_MODULES="no_such_module")
    learner.publish("pole", "a-run")
    for number in range(100):
        learner.send(f"t{number}", "pole", "a-run")

    assert worker.wait() == 78
    # Of a hundred tasks in as many milliseconds.
    assert 6 <= worker.printed.count("play task refused") <= 8
    last = worker.printed[worker.printed.index("has played nothing") :]
    assert "no_such_module" in last


def test_a_worker_whose_store_refuses_its_login_ends_itself_with_the_reason(
    cluster: Cluster, learner: Learner, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(HASTY)
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    url = cluster.redis_url.replace("://", "://player:not-its-password@")
    worker = cluster.worker(PYTHONPATH=path, TINYQUEUE_REDIS_URL=url)
    learner.publish("pole", "a-run")
    for number in range(100):
        learner.send(f"t{number}", "pole", "a-run")

    assert worker.wait() == 78
    last = worker.printed[worker.printed.index("has played nothing") :]
    assert "Correct the login in TINYQUEUE_REDIS_URL" in last
    assert "not-its-password" not in worker.printed


def test_a_worker_that_rests_stops_when_it_is_told_to(cluster: Cluster, learner: Learner) -> None:
    worker = cluster.worker(TINYQUEUE_ENVIRONMENT_MODULES="no_such_module")
    learner.publish("pole", "a-run")
    for number in range(10):
        learner.send(f"t{number}", "pole", "a-run")
    # The next rest is 4 s at least.
    cluster.until(lambda: worker.printed.count("play task refused") == 4, "it rests")

    began_s = time.monotonic()
    worker.terminate()

    assert worker.wait() == 0
    assert time.monotonic() - began_s < 60
