"""A kombu transport for Redis on which a failed acknowledgement does not stop a worker.

kombu counts a task whose acknowledgement has failed as in hand. A worker's credit is then used up,
so it asks for no further task, watches no connection, and never notices that Redis went away: it
stood still for ever. Here the credit returns with the failure. The worker asks for its next task,
which fails until Redis is back, and connects anew. The task itself comes again after the visibility
timeout.
"""

from __future__ import annotations

from typing import Any

from kombu.transport import redis, virtual


class _Credit(redis.QoS):
    def ack(self, delivery_tag: str) -> None:
        try:
            super().ack(delivery_tag)
        finally:
            virtual.QoS.ack(self, delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        try:
            super().reject(delivery_tag, requeue=requeue)
        finally:
            virtual.QoS.ack(self, delivery_tag)


class _Channel(redis.Channel):
    QoS: Any = _Credit


class CreditingTransport(redis.Transport):
    """kombu's transport for Redis; its channels take back the credit of every settled task."""

    Channel: Any = _Channel
