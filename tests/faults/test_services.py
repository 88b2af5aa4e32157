"""Given a store that loses everything and a broker that goes away: the run goes on by itself."""

from __future__ import annotations

from typing import Any

import pytest
from checker import judge, watching_versions
from cluster import ENDLESS, PRESET, Cluster

from tinyqueue.store.keys import Keys

pytestmark = [pytest.mark.integration, pytest.mark.faults]


@pytest.mark.parametrize("services", ["rabbitmq"], indirect=True)
def test_an_emptied_store_and_a_restarted_broker_cost_nothing(
    cluster: Cluster, services: Any
) -> None:
    if services.node is None:
        pytest.skip("a broker that is given cannot be restarted")
    worker = cluster.worker()
    with watching_versions(cluster.redis, PRESET) as log:
        learner = cluster.learner(*ENDLESS)
        cluster.trains_on()

        before = (lease(cluster), head(cluster))
        cluster.redis.flushall()
        cluster.until(lambda: spec(cluster), "the spec is back")
        cluster.until(lambda: head(cluster) > before[1], "versions rise from where they were")
        cluster.until(lambda: lease(cluster) == before[0], "the lease is the same one")
        late = cluster.worker()
        cluster.until(lambda: "stage opened" in late.printed, "a new worker finds the spec")
        cluster.trains_on()

        services.node.stop()
        away = "cannot be reached"
        cluster.until(lambda: away in learner.printed, "the user reads of it", within_s=10)
        services.node.start()
        cluster.trains_on()
        assert learner.printed.count(away) == 1
        assert learner.printed.count("can be reached again after") == 1

        for process in (worker, late):
            process.terminate()
            assert process.wait() == 0, process.printed
        run = cluster.run_path()
        cluster.until(lambda: not judge(cluster.journal, run).lost, "everything has a fate")
        learner.terminate()
        assert learner.wait() == 0, learner.printed

    assert all(after == before for before, after in log.falls)
    assert len(log.falls) <= 1
    judge(cluster.journal, run).must_balance()


@pytest.mark.parametrize("services", ["rabbitmq"], indirect=True)
def test_a_memory_alarm_of_the_broker_holds_up_play_and_nothing_else(
    cluster: Cluster, services: Any
) -> None:
    if services.node is None:
        pytest.skip("the alarm of a broker that is given cannot be raised")
    worker, learner = cluster.worker(), cluster.learner(*ENDLESS)
    cluster.trains_on()

    services.node.ctl("set_vm_memory_high_watermark", "0.0001")
    try:
        cluster.until(lambda: "chore=feed" in learner.printed, "no more tasks can be sent")
        for _ in range(2):
            cluster.redis.delete(Keys(PRESET).status)
            cluster.until(cluster.status, "the learner goes on telling how it is", within_s=10)
        short = "Players get no tasks: the broker at"
        cluster.until(lambda: short in learner.printed, "the user reads of it", within_s=25)
    finally:
        services.node.ctl("set_vm_memory_high_watermark", "0.6")
    cluster.trains_on()

    worker.terminate()
    assert worker.wait() == 0, worker.printed
    run = cluster.run_path()
    cluster.until(lambda: not judge(cluster.journal, run).lost, "everything has a fate")
    learner.terminate()
    assert learner.wait() == 0, learner.printed
    judge(cluster.journal, run).must_balance()


@pytest.mark.parametrize("services", ["embedded"], indirect=True)
def test_a_redis_that_is_broker_and_store_may_lose_everything(
    cluster: Cluster, services: Any
) -> None:
    """What waited in it is lost with it; the run is not."""
    worker, learner = cluster.worker(), cluster.learner(*ENDLESS)
    cluster.trains_on()
    before = head(cluster)

    cluster.redis.flushall()
    cluster.until(lambda: head(cluster) > before, "versions rise from where they were")
    cluster.trains_on()
    before = head(cluster)
    services.redis.stop()
    services.redis.start()
    cluster.until(lambda: head(cluster) > before, "versions rise from where they were")
    cluster.trains_on()

    worker.terminate()
    assert worker.wait() == 0, worker.printed
    learner.terminate()
    assert learner.wait() == 0, learner.printed
    verdict = judge(cluster.journal, cluster.run_path())
    assert len(verdict.lost) <= 12
    assert not verdict.invented
    assert verdict.trained_twice_steps == 0


def head(cluster: Cluster) -> int:
    return int(cluster.redis.get(f"tinyqueue:{PRESET}:head") or -1)


def spec(cluster: Cluster) -> bytes | str | None:
    return cluster.redis.get(f"tinyqueue:{PRESET}:spec")


def lease(cluster: Cluster) -> bytes | str | None:
    return cluster.redis.hget(f"tinyqueue:{PRESET}:lease", "epoch")
