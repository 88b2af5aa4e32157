from __future__ import annotations

import pytest
import redis

from tinyqueue.errors import StaleEpochError
from tinyqueue.store.keys import Keys
from tinyqueue.store.lease import LearnerLease
from tinyqueue.store.status import StatusBoard

pytestmark = pytest.mark.integration


def test_a_status_is_read_until_it_is_too_old(client: redis.Redis) -> None:
    board = StatusBoard(client)
    assert board.read("cartpole") is None
    board.write("cartpole", {"env_steps": 1, "count": {"accepted": 2}}, ttl_s=0.5)
    board.write("cartpole", {"env_steps": 3, "count": {"accepted": 4}}, ttl_s=30)
    assert board.read("cartpole") == {"env_steps": 3, "count": {"accepted": 4}}
    assert 29_000 < client.pttl(Keys("cartpole").status) <= 30_000
    assert board.read("pong") is None


def test_a_learner_that_was_replaced_writes_no_status(client: redis.Redis) -> None:
    board = StatusBoard(client)
    lease = LearnerLease(client, "cartpole", "b" * 32, "successor")
    epoch = lease.acquire(4)
    board.write("cartpole", {"run": "b" * 32}, 30, epoch)
    for run, earlier in (("a" * 32, epoch - 1), ("a" * 32, epoch), ("b" * 32, epoch - 1), ("", 0)):
        with pytest.raises(StaleEpochError, match="one of epoch 5 has replaced it"):
            board.write("cartpole", {"run": run}, 30, earlier)
    assert board.read("cartpole") == {"run": "b" * 32}
    lease.release()
    with pytest.raises(StaleEpochError):
        board.write("cartpole", {"run": "a" * 32}, 30, epoch - 1)
