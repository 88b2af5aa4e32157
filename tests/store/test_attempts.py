from __future__ import annotations

import pytest
import redis

from tinyqueue.store.attempts import count_attempt
from tinyqueue.store.keys import attempts_key

pytestmark = pytest.mark.integration


def test_attempts_at_a_task_are_counted_and_forgotten_after_the_last(client: redis.Redis) -> None:
    assert count_attempt(client, "t1", ttl_s=10) == 1
    assert count_attempt(client, "t1") == 2
    assert count_attempt(client, "t2") == 1
    assert 3590 < client.ttl(attempts_key("t1")) <= 3600
