from __future__ import annotations

import pytest
import redis

from tinyqueue.store.keys import Keys
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
