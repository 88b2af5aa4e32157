"""Consuming from Redis: each delivery moves in one step to its own key, until it is acked."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

from tinyqueue.bus.broker import CONNECT_S, Broker, drop, new_channel
from tinyqueue.bus.messages import Delivery, received
from tinyqueue.bus.redis_lists import in_hand_key, list_key, unpack

_WAIT_S = 5
"""The server answers a waiting learner at least this often; one that stays silent is gone."""


class RedisConsuming:
    """Two connections: one waits for messages, one acks. After any exception neither is used again.

    What earlier links had in hand is put back, and comes first.

    Args:
        broker: The broker to consume from.
        experiment: The experiment whose messages to consume.
        prefetch: Most deliveries in hand at once.
        name: Unique to the consumer, and the same for all of its links.
        takes_over: Whether to take what other consumers had in hand, too. Only a consumer whose
            process has just acquired the lease may.

    Raises:
        ServiceUnreachableError: The broker does not answer.
    """

    def __init__(
        self, broker: Broker, experiment: str, *, prefetch: int, name: str, takes_over: bool
    ) -> None:
        self._list = list_key(experiment)
        # Each link has its own keys: if its socket dies unnoticed, the server may still move a
        # message there, and an ack by the next link must not delete it.
        self._own = in_hand_key(experiment, name, secrets.token_hex(4))
        self._theirs = in_hand_key(experiment) if takes_over else in_hand_key(experiment, name)
        self._restore_until_s = time.monotonic() + 2 * _WAIT_S
        self._free = deque(range(prefetch))
        self._asked: int | None = None
        self._asked_s = 0.0
        self._connection = broker.open()
        self.errors = broker.errors(self._connection)
        with broker.preparing(self._connection):
            channel = new_channel(self._connection)
            self._commands: Any = channel.pool.get_connection()
            self._waiting: Any = channel.pool.get_connection()
            self._restored = self._restore(self._theirs, except_for=self._own)
            self._ask()

    def fileno(self) -> int:
        """The socket to wait on."""
        fd: int = self._waiting._sock.fileno()
        return fd

    def read(self) -> list[Delivery]:
        """The message that has arrived. Call it when the socket is readable."""
        slot, self._asked = self._asked, None
        if slot is None:
            # Nothing was asked for: the server has closed the connection.
            raise ConnectionResetError("the server closed the connection")
        frame = self._waiting.read_response()
        if frame is None:
            self._free.appendleft(slot)
            self._ask()
            return []
        self._ask()
        return [self._delivery(slot, frame)]

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Deletes the keys of these deliveries, and asks for the next message."""
        slots = [delivery.tag for delivery in deliveries if delivery.tag is not None]
        self._command("DEL", *(f"{self._own}:{slot}" for slot in slots))
        self._free.extend(slots)
        self._ask()

    def tick(self) -> tuple[int, list[Delivery]]:
        """Checks that the server answers; call it once a second.

        Returns:
            How many messages wait, and an empty list, since all arrivals come by :meth:`read`.
        """
        now_s = time.monotonic()
        if self._asked is not None and now_s > self._asked_s + _WAIT_S + CONNECT_S:
            raise TimeoutError("the server has fallen silent")
        if now_s < self._restore_until_s:
            self._restored += self._restore(self._theirs, except_for=self._own)
        return int(self._command("LLEN", self._list)), []

    def release(self) -> None:
        """Puts back what is in hand, and closes."""
        with contextlib.suppress(*self.errors):
            self._waiting.disconnect()
            self._restore(self._own)
        self.close()

    def close(self) -> None:
        """Closes both connections at once; the next link puts back what is in hand."""
        drop(self._connection)

    def _ask(self) -> None:
        if self._asked is not None or not self._free:
            return
        self._asked = self._free.popleft()
        self._asked_s = time.monotonic()
        key = f"{self._own}:{self._asked}"
        self._waiting.send_command("BLMOVE", self._list, key, "RIGHT", "LEFT", _WAIT_S)

    def _restore(self, prefix: str, except_for: str | None = None) -> int:
        """Puts what is in hand back at the end that is taken first; returns how many messages."""
        keys: set[bytes] = set()
        cursor: Any = 0
        while True:
            cursor, found = self._command("SCAN", cursor, "MATCH", f"{prefix}:*", "COUNT", 1000)
            keys.update(found)
            if int(cursor) == 0:
                break
        count = 0
        for key in keys:
            if except_for is not None and key.startswith(f"{except_for}:".encode()):
                continue
            while self._command("LMOVE", key, self._list, "LEFT", "RIGHT") is not None:
                count += 1
        return count

    def _delivery(self, slot: int, frame: bytes) -> Delivery:
        body, properties, headers = unpack(frame)
        redelivered = self._restored > 0
        self._restored -= redelivered
        return received(body, headers, properties, redelivered=redelivered, tag=slot)

    def _command(self, *words: object) -> Any:
        self._commands.send_command(*words)
        return self._commands.read_response()
