"""Given a learner that is killed and stays dead: others go on, and what it owed is paid later."""

from __future__ import annotations

import time

import pytest
import redis
from checker import judge
from cluster import ENDLESS, PRESET, Cluster

pytestmark = [pytest.mark.integration, pytest.mark.faults]

VISIBILITY_S = 2


@pytest.mark.parametrize("services", ["embedded"], indirect=True)
def test_dead_for_longer_than_every_visibility_timeout_nothing_is_lost(cluster: Cluster) -> None:
    """Kombu's own sweep on Redis gives out again what is unacked for too long, or deletes it."""
    workers = [cluster.worker(TINYQUEUE_TASK_VISIBILITY_S=str(VISIBILITY_S)) for _ in range(2)]
    learner = cluster.learner(*ENDLESS)
    cluster.trains_on()
    learner.kill()
    died_s = time.monotonic()
    workers[0].kill()
    workers[0] = cluster.worker(TINYQUEUE_TASK_VISIBILITY_S=str(VISIBILITY_S))

    owed = in_hand(cluster)
    assert owed
    cluster.until(lambda: not cluster.redis.exists(f"tinyqueue:{PRESET}:lease"), "no lease")
    cluster.until(
        lambda: time.monotonic() > died_s + 5 * VISIBILITY_S, "every visibility timeout is over"
    )
    assert in_hand(cluster) == owed

    learner = cluster.learner(*ENDLESS)
    cluster.trains_on()
    for worker in workers:
        worker.terminate()
        worker.wait()
    cluster.until(lambda: not judge(cluster.journal, cluster.run_path()).lost, "all has a fate")
    learner.terminate()
    assert learner.wait() == 0, learner.printed
    judge(cluster.journal, cluster.run_path()).must_balance()


def in_hand(cluster: Cluster) -> dict[bytes, list[bytes]]:
    """What the broker, database 1, keeps for a learner that has not acked it."""
    with redis.Redis.from_url(cluster.redis_url, db=1) as broker:
        keys = broker.keys(f"tinyqueue:unacked:{PRESET}:*")
        return {key: broker.lrange(key, 0, -1) for key in keys}
