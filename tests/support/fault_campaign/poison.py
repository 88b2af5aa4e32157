"""A play task whose environment kills the process that builds it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

from tinyqueue.bus.broker import Broker
from tinyqueue.bus.task_connection import TaskConnection
from tinyqueue.bus.task_sender import TaskSender
from tinyqueue.celery import make_app
from tinyqueue.data.identity import new_id
from tinyqueue.experiment.environment import EnvironmentConfig
from tinyqueue.settings import Settings
from tinyqueue.store.client import connect
from tinyqueue.store.lease import LearnerLease
from tinyqueue.store.specs import SpecStore


@contextmanager
def lethal_task(broker_url: str, redis_url: str, like: str) -> Iterator[str]:
    """A task of an experiment ``lethal``, which a learner seems to train as long as this lasts.

    Args:
        broker_url, redis_url: Of a login that may send tasks, hold leases and publish specs.
        like: The experiment whose policy it has.

    Yields:
        The task's id. Workers need the module ``lethal`` to play it.
    """
    with connect(redis_url) as redis:
        store = SpecStore(redis)
        spec = store.load(like)
        assert spec is not None
        graph = store.graph(like, spec.graph_sha256)
        environment = EnvironmentConfig(id="Lethal-v0")
        lethal = spec.model_copy(update={"experiment": "lethal", "environment": environment})
        lease = LearnerLease(redis, lethal.experiment, lethal.run, "who sends a lethal task")
        epoch = lease.acquire(0)
        try:
            store.publish(lethal, graph, epoch)
            tasks = send_play_tasks(
                broker_url, redis_url, lethal.experiment, lethal.run, lethal.version
            )
            yield tasks[0]
        finally:
            lease.release()


def send_play_tasks(
    broker_url: str, redis_url: str, experiment: str, run: str, version: int, count: int = 1
) -> list[str]:
    """Sends play tasks as a learner does, and returns their ids."""
    settings = Settings(broker_url=broker_url, redis_url=redis_url)
    tasks = [new_id() for _ in range(count)]
    connection = TaskConnection(Broker(settings.broker))
    with closing(TaskSender(make_app(settings), connection, "play")) as sender:
        for task in tasks:
            sender.play(task, experiment=experiment, run=run, spec_version=version, budget_s=2.0)
    return tasks
