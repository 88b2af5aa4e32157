"""Whether a Redis has a bound for its memory, and keeps what it was given."""

from __future__ import annotations

import redis

from tinyqueue.errors import ServiceUnreachableError
from tinyqueue.store.client import address, answering


def memory_advice(client: redis.Redis) -> str:
    """What an operator should change in a server's settings for its memory.

    Returns:
        A sentence; empty if all is well, or if this login may not ask.
    """
    try:
        with answering(client):
            memory = client.info("memory")
    except ServiceUnreachableError:
        return ""
    name = f"Redis at {address(client)}"
    policy = str(memory.get("maxmemory_policy", "noeviction"))
    if policy != "noeviction":
        return (
            f"{name} may delete weights and the learner's lease when it is full "
            f"(maxmemory-policy {policy}). Set it to noeviction."
        )
    if memory.get("maxmemory") == 0:
        return (
            f"{name} has no bound for its memory, so a flood could end every service on its "
            "machine. Set maxmemory, for example to 2gb, as config/services/redis.conf does."
        )
    return ""
