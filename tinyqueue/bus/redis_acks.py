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
        except BaseException:
            virtual.QoS.ack(self, delivery_tag)
            raise

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        try:
            super().reject(delivery_tag, requeue=requeue)
        except BaseException:
            virtual.QoS.ack(self, delivery_tag)
            raise


class _Channel(redis.Channel):
    QoS: Any = _Credit


class _Transport(redis.Transport):
    Channel: Any = _Channel


def crediting(kind: type[Any]) -> type[Any]:
    """The transport to use in place of kombu's plain one for Redis; any other as it is."""
    return _Transport if kind is redis.Transport else kind
