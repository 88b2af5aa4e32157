"""Given a Redis that is silent, busy, full, read-only, locked or gone: the learner goes on."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis
from checker import judge, read_books
from cluster import ENDLESS, PRESET, Cluster
from meanwhile import meanwhile

from tinyqueue.errors import ServiceUnreachableError
from tinyqueue.local.redis_server import RedisServer
from tinyqueue.run.checkpoints import Checkpoints
from tinyqueue.store.keys import Keys
from tinyqueue.store.lease import LearnerLease

pytestmark = [
    pytest.mark.integration,
    pytest.mark.faults,
    pytest.mark.parametrize("services", ["rabbitmq"], indirect=True),
]

KEYS = Keys(PRESET)
OVER_THE_LEASE_S = 17.0
"""Longer than a lease lasts without renewal."""
WITHIN_S = 20.0
"""How soon training goes on once the fault is over: 5 s, and more where the cores are busy."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """Reconfigured and killed, so no other test's."""
    with RedisServer(tmp_path / "redis") as server:
        yield server


@pytest.fixture
def admin(server: RedisServer) -> Iterator[redis.Redis]:
    with redis.Redis(unix_socket_path=str(server.socket_path), socket_timeout=60) as admin:
        yield admin


@pytest.fixture
def cluster(services: Any, server: RedisServer, tmp_path: Path) -> Iterator[Cluster]:
    cluster = Cluster(services.broker_url, server.redis_url, tmp_path / "cluster")
    yield cluster
    cluster.stop()


def paused(admin: redis.Redis) -> None:
    admin.execute_command("CLIENT", "PAUSE", round(OVER_THE_LEASE_S * 1000), "ALL")
    time.sleep(OVER_THE_LEASE_S)


def busy(admin: redis.Redis) -> None:
    admin.config_set("lua-time-limit", 100)

    def end() -> None:
        with redis.Redis(unix_socket_path=admin.connection_pool.connection_kwargs["path"]) as other:
            other.script_kill()

    with meanwhile(5.0, end), contextlib.suppress(redis.RedisError):
        admin.eval("while true do end", 0)


def full(admin: redis.Redis) -> None:
    admin.config_set("maxmemory", 1)
    time.sleep(4.0)
    admin.config_set("maxmemory", 0)


def read_only(admin: redis.Redis) -> None:
    admin.config_set("replica-serve-stale-data", "no")
    admin.execute_command("REPLICAOF", "127.0.0.1", "1")
    time.sleep(4.0)
    admin.execute_command("REPLICAOF", "NO", "ONE")


def locked(admin: redis.Redis) -> None:
    admin.config_set("requirepass", "another")
    admin.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    time.sleep(4.0)
    admin.config_set("requirepass", "")


def emptied(admin: redis.Redis) -> None:
    admin.flushall()


HICCUPS: list[Callable[[redis.Redis], None]] = [paused, busy, full, read_only, locked, emptied]


def test_a_redis_that_goes_away_while_a_learner_builds_its_network_is_waited_for(
    cluster: Cluster, admin: redis.Redis
) -> None:
    learner = cluster.learner(*ENDLESS)
    cluster.until(lambda: cluster.redis.exists(KEYS.lease), "it has its lease")

    paused(admin)

    cluster.worker()
    cluster.trains_on(1)
    assert "the run begins when it works again" in learner.printed


def test_no_hiccup_ends_a_learner_and_training_goes_on_within_seconds(
    cluster: Cluster, server: RedisServer, admin: redis.Redis, record_property: Any
) -> None:
    worker, learner = cluster.worker(), cluster.learner(*ENDLESS)
    cluster.trains_on(1)
    epoch = cluster.redis.hget(KEYS.lease, "epoch")

    def goes_on_after(name: str, fault: Callable[[], None]) -> None:
        before = head(cluster)
        fault()
        ended_s = time.monotonic()
        steps = env_steps(cluster)
        cluster.until(lambda: head(cluster) > before, f"versions rise after {name}", WITHIN_S)
        cluster.until(lambda: env_steps(cluster) > steps, f"training after {name}", WITHIN_S)
        record_property(f"{name}: seconds until training went on", time.monotonic() - ended_s)
        print(f"{name}: training went on after {time.monotonic() - ended_s:.1f} s")
        assert learner.is_running, learner.printed

    for fault in HICCUPS:
        goes_on_after(fault.__name__, partial(fault, admin))
    goes_on_after("killed", lambda: restart(server))
    goes_on_after("frozen learner", lambda: freeze(learner.pid))

    assert cluster.redis.hget(KEYS.lease, "epoch") == epoch
    assert learner.printed.count("Traceback") == 0, learner.printed
    assert "Redis works again" in learner.printed
    worker.terminate()
    assert worker.wait() == 0, worker.printed
    run = cluster.run_path()
    cluster.until(lambda: not judge(cluster.journal, run).lost, "everything has a fate")
    learner.terminate()
    assert learner.wait() == 0, learner.printed
    judge(cluster.journal, run).must_balance()


def test_a_learner_that_is_stopped_while_redis_is_away_has_saved_all_it_trained_on(
    cluster: Cluster, server: RedisServer
) -> None:
    worker, learner = cluster.worker(), cluster.learner(*ENDLESS)
    cluster.trains_on(1)
    server.stop()
    cluster.until(lambda: "nothing is accepted or published" in learner.printed, "it rests", 40)

    learner.terminate()

    assert learner.wait() == 0, learner.printed
    run = cluster.run_path()
    assert saved_env_steps(run) == read_books(run).env_steps > 0
    server.start()
    learner = cluster.learner(*ENDLESS)
    cluster.trains_on(1)
    worker.terminate()
    assert worker.wait() == 0, worker.printed
    cluster.until(lambda: not judge(cluster.journal, run).lost, "everything has a fate")
    learner.terminate()
    assert learner.wait() == 0, learner.printed
    judge(cluster.journal, run).must_balance()


def test_a_learner_that_is_replaced_ends_and_has_saved_its_own_run(cluster: Cluster) -> None:
    cluster.worker()
    learner = cluster.learner(*ENDLESS)
    cluster.trains_on(1)
    cluster.redis.delete(KEYS.lease)
    successor = LearnerLease(cluster.redis, PRESET, "f" * 32, "a successor")
    successor.acquire(0)

    assert learner.wait() == 1, learner.printed
    successor.release()

    # Told by the renewal of its lease, or by a publish that was refused before.
    assert re.search("was taken over by a successor|one of epoch 2 has replaced", learner.printed)
    assert "Traceback" not in learner.printed
    run = cluster.run_path()
    assert saved_env_steps(run) == read_books(run).env_steps > 0


def restart(server: RedisServer) -> None:
    os.kill(server.pid, signal.SIGKILL)
    time.sleep(3.0)
    server.stop()
    server.start()


def freeze(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)
    time.sleep(OVER_THE_LEASE_S)
    os.kill(pid, signal.SIGCONT)


def head(cluster: Cluster) -> int:
    with contextlib.suppress(redis.RedisError, ServiceUnreachableError):
        return int(cluster.redis.get(KEYS.head) or -1)
    return -1


def env_steps(cluster: Cluster) -> int:
    """By the ledger: what was trained on and accepted."""
    return read_books(cluster.run_path()).env_steps


def saved_env_steps(run: Path) -> int:
    checkpoint = Checkpoints(run / "checkpoints", keep=3).newest()
    assert checkpoint is not None
    return checkpoint.env_steps
