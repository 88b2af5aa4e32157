"""Publishing to Redis: one round trip, refused while the list is full."""

from __future__ import annotations

from typing import Any

from tinyqueue.bus.broker import Broker, drop, new_channel
from tinyqueue.bus.messages import Outgoing, PublishOutcome
from tinyqueue.bus.redis_lists import PUSH_IF_ROOM, list_key, pack


class RedisPublishing:
    """One connection. After any exception it is not used again.

    Args:
        broker: The broker to publish to.
        limit: Messages that may wait; more are refused, as by RabbitMQ's ``x-max-length``.

    Raises:
        ServiceUnreachableError: The broker does not answer.
    """

    def __init__(self, broker: Broker, limit: int) -> None:
        self._connection = broker.open()
        self.errors = broker.errors(self._connection)
        self._limit = limit
        with broker.preparing(self._connection):
            # A dedicated connection: a client would take one from a pool for every command.
            self._redis: Any = new_channel(self._connection).pool.get_connection()
            self._redis.send_command("SCRIPT", "LOAD", PUSH_IF_ROOM)
            self._push = self._redis.read_response()

    def send(self, outgoing: Outgoing, timeout_s: float) -> PublishOutcome:
        """Publishes if there is room; the outcome is CONFIRMED or FULL.

        Raises:
            redis.RedisError, OSError: The server does not answer, or is out of memory.
        """
        properties = {
            "content_type": outgoing.content_type,
            "message_id": outgoing.message_id,
            "correlation_id": outgoing.correlation_id,
        }
        message = pack(outgoing.body, properties, dict(outgoing.headers))
        key = list_key(outgoing.experiment)
        self._redis.send_command("EVALSHA", self._push, 1, key, self._limit, message)
        pushed = self._redis.read_response(timeout=timeout_s)
        return PublishOutcome.CONFIRMED if pushed else PublishOutcome.FULL

    def waiting(self, experiment: str, timeout_s: float) -> int:
        """As :meth:`tinyqueue.bus.links.PublishingLink.waiting`; never None."""
        self._redis.send_command("LLEN", list_key(experiment))
        return int(self._redis.read_response(timeout=timeout_s))

    def close(self) -> None:
        """Closes the connection at once."""
        drop(self._connection)
