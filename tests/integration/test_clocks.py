"""Given a worker whose clock is wrong by minutes: it plays."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import pytest
from cluster import Cluster

from tinyqueue.bus.broker import Broker
from tinyqueue.bus.task_connection import TaskConnection
from tinyqueue.bus.task_sender import TaskSender
from tinyqueue.bus.topology import tasks_exchange
from tinyqueue.celery import make_app
from tinyqueue.settings import Settings

pytestmark = pytest.mark.integration

SHIFTED = """
import datetime, os, time

_shift_s = float(os.environ["SHIFT_S"])
_time, _datetime = time.time, datetime.datetime

class Shifted(_datetime):
    @classmethod
    def now(cls, tz=None):
        return _datetime.now(tz) + datetime.timedelta(seconds=_shift_s)

    @classmethod
    def utcnow(cls):
        return cls.now(datetime.timezone.utc).replace(tzinfo=None)

time.time = lambda: _time() + _shift_s
datetime.datetime = Shifted
"""


@pytest.mark.parametrize("shift_s", [20 * 60, -20 * 60, 5 * 3600])
def test_tasks_are_not_void_by_the_clock_of_a_worker(
    cluster: Cluster, tmp_path: Path, shift_s: int
) -> None:
    (tmp_path / "sitecustomize.py").write_text(SHIFTED)
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    settings = Settings(broker_url=cluster.broker_url, redis_url=cluster.redis_url)
    broker, app = Broker(settings.broker), make_app(settings)
    worker = cluster.worker(PYTHONPATH=path, SHIFT_S=str(shift_s))
    cluster.until(lambda: "ready." in worker.printed, "a worker is ready")

    exchange = tasks_exchange(broker.kind)
    with closing(TaskSender(app, TaskConnection(broker), "play", exchange)) as sender:
        sender.play("late", experiment="nobody", run="r", spec_version=1, budget_s=1.0)
    cluster.until(lambda: "task=late experiment=nobody" in worker.printed, "the task is played")

    if shift_s > 0:
        # The clock is indeed another: by Celery's own rule the task would have been void.
        with broker.open() as connection:
            what = {"experiment": "nobody", "run": "r", "spec_version": 1, "budget_s": 1.0}
            app.send_task(
                "play-episode", kwargs=what, queue="play", expires=600, connection=connection
            )
        cluster.until(lambda: "Discarding revoked task" in worker.printed, "the other is not")
