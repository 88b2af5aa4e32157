"""Given an environment whose clock runs in another process, and services that do not answer."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import chasing
import pytest
from kombu import Connection

from tinyqueue.bus.redis_lists import list_key, unpack
from tinyqueue.bus.topology import experience_queue
from tinyqueue.data.session import Header
from tinyqueue.player.play_task import PlayTask
from tinyqueue.player.player import Player
from tinyqueue.settings import Settings
from tinyqueue.store.client import connect
from tinyqueue.store.keys import Keys
from tinyqueue.store.specs import SpecStore
from tinyqueue.store.weights import WeightStore
from tinyqueue.wire.sessions import decode_session

pytestmark = pytest.mark.integration

FROZEN_S = 2.5
HELD_S = 1.5
"""More than a busy machine holds a process up, and less than the outage."""
HZ, TICKS = 20, 8
MOST = 1000
"""Batches that may wait: nobody takes them until the end."""


class Bench:
    """An experiment whose learner publishes weights and takes nothing, and what players send it."""

    def __init__(self, services: Any, folder: Path) -> None:
        self._services = services
        self.settings = Settings(
            broker_url=services.broker_url,
            redis_url=services.redis_url,
            environment_modules=("chase",),
            spool_dir=folder / "spool",
        )
        self.spool = folder / "spool"
        self.store = connect(services.redis_url)
        spec = chasing.spec(batch=TICKS, hz=HZ, ticks=20)
        self._spec = spec.model_copy(update={"queue_batches": MOST})
        SpecStore(self.store).publish(self._spec, chasing.graph())
        WeightStore(self.store, "chase").publish(chasing.version(1))
        self.store.hset(Keys("chase").lease, "run", chasing.RUN)
        if services.kind == "rabbitmq":
            with Connection(services.broker_url) as connection:
                experience_queue("chase", MOST)(connection.channel()).declare()

    def task(self, name: str, budget_s: float) -> PlayTask:
        return PlayTask(name, "chase", chasing.RUN, self._spec.version, budget_s)

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Neither broker nor store answers, and nobody's connection is closed."""
        servers = (self._services.node, self._services.redis)
        pids = [server.pid for server in servers if server is not None]
        try:
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    def published(self) -> list[Header]:
        return [decode_session(body, headers).header for body, headers in self._messages()]

    def spooled(self) -> list[Path]:
        return sorted(self.spool.rglob("*.session"))

    def _messages(self) -> Iterator[tuple[bytes, dict[str, Any]]]:
        with Connection(self._services.broker_url) as connection:
            channel: Any = connection.channel()
            if self._services.kind == "embedded":
                while (frame := channel.client.rpop(list_key("chase"))) is not None:
                    body, _, headers = unpack(frame)
                    yield body, headers
                return
            queue = experience_queue("chase", MOST)(channel)
            while (message := queue.get(no_ack=True)) is not None:
                body_of: Any = message.body
                yield body_of, dict(message.headers)


@pytest.fixture
def bench(services: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.syspath_prepend(str(chasing.FOLDER))
    bench = Bench(services, tmp_path)
    yield bench
    bench.store.close()


def test_an_outage_holds_no_environment_and_costs_no_batch(bench: Bench) -> None:
    player = Player(bench.settings, seed=1)

    def outage() -> None:
        time.sleep(0.5)
        with bench.frozen():
            time.sleep(FROZEN_S)

    opened = player.play(bench.task("t1", budget_s=0.2))

    breaking = threading.Thread(target=outage)
    breaking.start()
    report = player.play(bench.task("t2", budget_s=4.0))
    breaking.join()
    player.close()
    headers = bench.published()

    assert report.ended == "budget"
    assert [header.n for header in headers] == list(range(opened.batches + report.batches))
    assert not bench.spooled()
    paces = [header.pace for header in headers if header.pace is not None]
    assert len(paces) == len(headers)
    assert sum(pace.steps for pace in paces) > 2 * HZ
    assert max(pace.worst_ms for pace in paces) < 1000 * HELD_S
    assert sum(pace.missed_ticks for pace in paces) < FROZEN_S * HZ


def test_what_cannot_be_published_is_published_by_the_next_player(bench: Bench) -> None:
    first, second = Player(bench.settings, seed=1), Player(bench.settings, seed=2)
    opened = first.play(bench.task("t1", budget_s=0.2))

    with bench.frozen():
        during = first.play(bench.task("t2", budget_s=1.5))
        first.close()
    kept = len(bench.spooled())
    after = second.play(bench.task("t3", budget_s=0.5))
    second.close()
    headers = bench.published()

    assert kept >= during.batches > 1
    stages = {header.stage for header in headers}
    ids = {header.batch_id for header in headers}
    assert len(stages) == 2
    assert len(ids) == opened.batches + during.batches + after.batches
    assert not bench.spooled()
