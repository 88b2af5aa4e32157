"""A player's login may read everything of an experiment, and write or take next to nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import redis

from tinyqueue.errors import ServiceUnreachableError
from tinyqueue.local.redis_server import RedisServer
from tinyqueue.store.attempts import count_attempt
from tinyqueue.store.client import connect
from tinyqueue.store.credits import Credit, CreditStore
from tinyqueue.store.lease import LearnerLease, learner_is_alive
from tinyqueue.store.specs import SpecStore
from tinyqueue.store.status import StatusBoard
from tinyqueue.store.weights import WeightStore
from tinyqueue.wire.weights import WeightVersion

pytestmark = pytest.mark.integration

PLAYER = (
    "ACL SETUSER player on >secret -@all +get +mget +hgetall +hello +auth +client|setname +ping "
    "%R~tinyqueue:*"
)
SELECTORS = (
    "(+incr +expire ~tinyqueue:attempts:[0-9a-f][0-9a-f][0-9a-f][0-9a-f])",
    "(-@all +blpop %RW~tinyqueue:*:credits)",
)
LEARNER = (
    "ACL SETUSER learner on >secret -@all +get +mget +hgetall +hello +auth +ping +eval +set +del "
    "+expire +pttl +time +hset +hget +hmget +pexpire +lpush +rpush +llen +rpop +sadd +smembers "
    "+multi +exec ~tinyqueue:*"
)


@pytest.fixture
def logins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[redis.Redis, redis.Redis]]:
    """Clients of a learner and of a player. The system's Redis goes before a wheel's 6.2."""
    monkeypatch.setenv("PATH", f"/usr/bin:/usr/local/bin:{os.environ['PATH']}")
    with RedisServer(tmp_path) as server, connect(server.redis_url) as admin:
        version = int(str(admin.info("server")["redis_version"]).split(".")[0])
        if version < 7:
            pytest.skip("selectors and %R~ are of Redis 7")
        admin.execute_command(*PLAYER.split(), *SELECTORS)
        admin.execute_command(*LEARNER.split())
        url = str(server.socket_path)
        with (
            connect(f"unix://learner:secret@{url}") as learner,
            connect(f"unix://player:secret@{url}") as player,
        ):
            yield learner, player


def test_a_player_reads_all_it_needs_and_publishes_nothing(
    logins: tuple[redis.Redis, redis.Redis],
) -> None:
    learner, player = logins
    weights = WeightVersion(0, 1, "a" * 32, 0, 0, "0" * 64, {"w": np.zeros(2, np.float32)})
    lease = LearnerLease(learner, "cartpole", "a" * 32, "learner")
    lease.acquire(0)
    assert lease.renew()
    WeightStore(learner, "cartpole").publish(weights)
    WeightStore(learner, "cartpole").pin(0, 60)
    StatusBoard(learner).write("cartpole", {"run": "a" * 32}, 10, epoch=1)

    assert learner_is_alive(player, "cartpole")
    assert WeightStore(player, "cartpole").fetch().version == 0
    assert SpecStore(player).load("cartpole") is None
    assert count_attempt(player, "t1") == 1
    CreditStore(learner, "cartpole").append(Credit(7, 0))
    assert CreditStore(player, "cartpole").take(1.0) == Credit(7, 0)
    with pytest.raises(ServiceUnreachableError, match="permissions of that role"):
        CreditStore(player, "cartpole").append(Credit(8, 0))
    with pytest.raises(ServiceUnreachableError, match="permissions of that role"):
        WeightStore(player, "cartpole").publish(weights)
    with pytest.raises(ServiceUnreachableError, match="permissions of that role"):
        StatusBoard(player).write("cartpole", {}, 10)
    lease.release()
