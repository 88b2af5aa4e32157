"""Time to live for tasks on Redis, which has none for members of a list.

RabbitMQ drops a message when its ``expiration`` has passed by the broker's clock. Here the sender
takes back what nobody took in time, by its own clock: a worker's clock never decides. A task that
a killed sender leaves is ended by the player that takes it, because its run is over.
"""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from kombu import Producer

CHECK_S = 10.0
"""Between two checks of a queue that may hold expired tasks."""


class Expiry:
    """The messages that were sent and may still be waiting. For one thread at a time.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._sent: deque[tuple[float, str, str]] = deque()
        self._next_s = 0.0

    def sent(self, queue: str, message: str, expires_s: float) -> None:
        """Notes that a message went to this queue.

        Messages are taken back in the order they were sent: one with a shorter life than an
        earlier one outlives it.
        """
        self._sent.append((self._clock() + expires_s, queue, message))

    def take_back(self, client: Any) -> int:
        """Removes expired messages from their queues, and returns how many there were."""
        now_s = self._clock()
        if not self._sent or now_s < max(self._next_s, self._sent[0][0]):
            return 0
        self._next_s = now_s + CHECK_S
        over: dict[str, set[str]] = {}
        while self._sent and self._sent[0][0] <= now_s:
            _, queue, message = self._sent.popleft()
            over.setdefault(queue, set()).add(message)
        return sum(_remove(client, queue, messages) for queue, messages in over.items())


class ExpiringProducer(Producer):
    """kombu's producer, made to honour ``expiration`` where the broker does not."""

    expiry: Expiry

    def publish(  # type: ignore[override]  # its other arguments are passed by name
        self, body: Any, routing_key: str | None = None, **options: Any
    ) -> Any:
        """Takes back what has expired, then publishes as kombu does.

        Args:
            body: The message's body.
            routing_key: The queue, since tasks on Redis use the default exchange.
            options: kombu's others. With ``correlation_id`` and ``expiration`` (seconds) the
                message expires.
        """
        channel: Any = self.channel
        self.expiry.take_back(channel.client)
        done = super().publish(body, routing_key, **options)
        message, expires_s = options.get("correlation_id"), options.get("expiration")
        if routing_key and message and expires_s is not None:
            self.expiry.sent(routing_key, message, expires_s)
        return done


def _remove(client: Any, queue: str, messages: set[str]) -> int:
    removed = 0
    for raw in client.lrange(queue, 0, -1):
        if json.loads(raw)["properties"].get("correlation_id") in messages:
            removed += client.lrem(queue, 1, raw)
    return removed
