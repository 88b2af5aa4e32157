"""Given real services and a worker whose games take longer than a learner waits for a word."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from balancing import BALANCES, graph, spec, version
from cluster import Cluster, Process

from tinyqueue.bus.broker import Broker
from tinyqueue.bus.consumer import ExperienceConsumer
from tinyqueue.bus.task_connection import TaskConnection
from tinyqueue.bus.task_sender import TaskSender
from tinyqueue.bus.topology import tasks_exchange
from tinyqueue.celery import make_app
from tinyqueue.evaluation.answers import Answer
from tinyqueue.evaluation.remote_games import RemoteGames
from tinyqueue.experiment.environment import EnvironmentConfig
from tinyqueue.experiment.sections import EvaluationConfig
from tinyqueue.learner.ingest import Ingest
from tinyqueue.learner.tasks_of_run import remote_games
from tinyqueue.settings import Settings
from tinyqueue.store.lease import LearnerLease
from tinyqueue.store.specs import SpecStore
from tinyqueue.store.weights import WeightStore
from tinyqueue.wire.contract import Contract
from tinyqueue.wire.evaluations import EvaluationResult

pytestmark = pytest.mark.integration

HERE_AFTER_S = 4.0
WEIGHTS: Any = SimpleNamespace(version=1)
LONG = EvaluationConfig(episodes=1, slots=1, here_after_s=HERE_AFTER_S)
SPEC = spec().model_copy(update={"environment": EnvironmentConfig(id="SlowPole-v0")})


@pytest.fixture
def worker(cluster: Cluster) -> Process:
    folder = str(Path(__file__).parent)
    path = os.pathsep.join(filter(None, [folder, os.environ.get("PYTHONPATH", "")]))
    worker = cluster.worker(PYTHONPATH=path, TINYQUEUE_ENVIRONMENT_MODULES="slow_pole")
    cluster.until(lambda: "ready." in worker.printed, "a worker is ready")
    return worker


@pytest.fixture
def games(cluster: Cluster, worker: Process, contract: Contract) -> Iterator[RemoteGames]:
    """What a learner evaluates with, without what it trains with."""
    settings = Settings(broker_url=cluster.broker_url, redis_url=cluster.redis_url)
    broker = Broker(settings.broker)
    weights = WeightStore(cluster.redis, "pole")
    SpecStore(cluster.redis).publish(SPEC, graph())
    weights.publish(version(1, BALANCES))
    lease = LearnerLease(cluster.redis, "pole", SPEC.run, "a learner")
    lease.acquire(1)
    tasks = TaskSender(
        make_app(settings), TaskConnection(broker), "play", tasks_exchange(broker.kind)
    )
    games = remote_games(tasks, SPEC, graph(), LONG, pin=weights.pin, play_here=played_here)
    unused: Any = None
    ingest = Ingest(
        contract,
        unused,
        unused,
        max_policy_lag=None,
        head=unused,
        heard=unused,
        failed=unused,
        setbacks=unused,
        evaluated=games.arrived,
        check_lease=unused,
    )
    consumer = ExperienceConsumer(
        broker,
        "pole",
        SimpleNamespace(on_delivery=ingest.on_delivery, commit=lambda settled: None),
        queue_batches=2,
        prefetch=2,
    )
    consumer.start()
    yield games
    consumer.stop(5)
    tasks.close()
    lease.release()


def played_here(
    weights: Any, spec: Any, graph: bytes, request: str, seed: int, actions: str, is_wanted: Any
) -> EvaluationResult:
    one = np.ones(1, np.int32)
    return EvaluationResult(request, "pole", "r", 1, one.astype(np.float32), one, 0.1, "learner")


def test_a_worker_is_waited_for_while_it_plays_and_replaced_when_it_is_killed(
    cluster: Cluster, worker: Process, games: RemoteGames
) -> None:
    games.request(WEIGHTS, "first", seed=1, actions="greedy")
    first = answer(cluster, games)

    assert first.result.player != "learner"
    assert first.result.returns.tolist() == [500.0]
    assert first.result.seconds > 2 * HERE_AFTER_S

    games.request(WEIGHTS, "second", seed=2, actions="greedy")
    played_s = time.monotonic() + HERE_AFTER_S
    while time.monotonic() < played_s:
        assert games.poll() is None
        time.sleep(0.05)
    worker.kill()

    assert answer(cluster, games).result.player == "learner"


def answer(cluster: Cluster, games: RemoteGames) -> Answer:
    found = cluster.until(games.poll, "an answer")
    assert isinstance(found, Answer)
    return found
