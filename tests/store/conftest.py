from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from tinyqueue.store.client import connect


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with connect(redis_url) as connected:
        yield connected
