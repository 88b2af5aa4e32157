"""Counting how often a task was begun: a classic queue does not, and a poison task must end."""

from __future__ import annotations

import redis

from tinyqueue.store.client import answering
from tinyqueue.store.keys import attempts_key


def count_attempt(client: redis.Redis, task_id: str, ttl_s: int = 3600) -> int:
    """Counts one more attempt at a task, and returns the new count.

    The count is forgotten ``ttl_s`` after the last attempt. It takes one round trip of INCR and
    EXPIRE, the only commands that write which a player is permitted.

    Raises:
        ServiceUnreachableError: Redis does not answer.
    """
    key = attempts_key(task_id)
    with answering(client), client.pipeline(transaction=False) as batch:
        # incr() would send INCRBY, which is not among a player's permissions.
        batch.execute_command("INCR", key)  # type: ignore[no-untyped-call]
        batch.expire(key, ttl_s)
        return int(batch.execute()[0])
