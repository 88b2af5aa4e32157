"""How often a task was begun: a classic queue does not count, and a poison task must end."""

from __future__ import annotations

import redis

from tinyqueue.store.client import answering
from tinyqueue.store.keys import attempts_key


def count_attempt(client: redis.Redis, task_id: str, ttl_s: int = 3600) -> int:
    """Counts one more attempt at a task, and returns how many that makes.

    The count is forgotten ``ttl_s`` after the last attempt. One round trip of INCR and
    EXPIRE: a player may do no more.

    Raises:
        ServiceUnreachableError: Redis does not answer.
    """
    key = attempts_key(task_id)
    with answering(client), client.pipeline(transaction=False) as batch:
        # incr() would send INCRBY, which is not among a player's permissions.
        batch.execute_command("INCR", key)  # type: ignore[no-untyped-call]
        batch.expire(key, ttl_s)
        return int(batch.execute()[0])
