"""Deliveries from their arrival to their ack: each handed over once, committed, then acked."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVarTuple

import structlog

from tinyqueue.bus.dead_letters import DeadLetters
from tinyqueue.bus.messages import Acks, Delivery, Handler, Mark, Settle
from tinyqueue.errors import DiskFullError

RETRY_S = 1.0
"""Between two attempts to commit while the disk is full."""
_SAY_AGAIN_S = 60.0

Ts = TypeVarTuple("Ts")

log = structlog.get_logger(__name__)


class CallbackError(Exception):
    """Keeps an error of ``on_delivery`` or ``commit`` apart from trouble with the broker."""

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


class InHand(Generic[Mark]):
    """Everything received but not yet acked. For one thread, except :meth:`settle`.

    A message that arrives again while it is in hand is not handed over twice. Either the
    connection was lost, and the delivery in hand takes over the newer one's ack; or it was
    published twice, and the second is acked at once, since the first is still unacked.

    Args:
        dead_letters: Where messages are set aside.
        handler: Receives the deliveries and commits them.
        settle: Given to the handler for ending a delivery; it calls :meth:`settle`.
    """

    def __init__(
        self,
        dead_letters: DeadLetters,
        handler: Handler[Mark],
        settle: Settle[Mark],
    ) -> None:
        self._dead_letters = dead_letters
        self._handler = handler
        self._settle = settle
        self._by_id: dict[str, Delivery] = {}
        self._settled: deque[tuple[Delivery, Mark, str | None]] = deque()
        self._not_set_aside: list[tuple[Delivery, Mark, str | None]] = []
        self._uncommitted: list[tuple[Delivery, Mark]] = []
        self._retry_at_s = 0.0
        self._said_full_s: float | None = None
        self.duplicates = 0

    def settle(self, delivery: Delivery, mark: Mark, set_aside: str | None) -> None:
        """Notes that a delivery is over. Any thread may call it."""
        self._settled.append((delivery, mark, set_aside))

    def hand_over(self, arrived: Sequence[Delivery], link: Acks) -> None:
        """Hands the handler what arrived through a link.

        Raises:
            CallbackError: ``on_delivery`` raised.
        """
        for delivery in arrived:
            delivery.link = link
            earlier = self._by_id.get(delivery.message_id)
            if earlier is None:
                if delivery.message_id:
                    self._by_id[delivery.message_id] = delivery
                _call(self._handler.on_delivery, delivery, self._settle)
                continue
            self.duplicates += 1
            if earlier.link is link:
                _ack([delivery], link)
            else:
                earlier.tag, earlier.link = delivery.tag, link

    def finish(self, link: Acks | None) -> None:
        """Sets aside, commits and acks what is settled, in this order.

        While the disk is full nothing is acked, and a commit is tried once a second.

        Args:
            link: The current one. What an earlier link delivered is committed but not acked: the
                broker has taken the message back, and will send it again.

        Raises:
            CallbackError: ``commit`` raised. Nothing was acked.
            ConfigError: Messages cannot be set aside.
        """
        waiting, self._not_set_aside = self._not_set_aside, []
        while self._settled:
            waiting.append(self._settled.popleft())
        for delivery, mark, reason in waiting:
            if reason is None or self._dead_letters.put(delivery, reason):
                self._uncommitted.append((delivery, mark))
            else:
                self._not_set_aside.append((delivery, mark, reason))
        done = self._committed()
        for delivery in done:
            if self._by_id.get(delivery.message_id) is delivery:
                del self._by_id[delivery.message_id]
        if link is not None:
            _ack(done, link)

    def _committed(self) -> list[Delivery]:
        """Commits what waits for it, all or nothing."""
        now_s = time.monotonic()
        if not self._uncommitted or now_s < self._retry_at_s:
            return []
        try:
            _call(self._handler.commit, self._uncommitted)
        except CallbackError as failure:
            if not isinstance(failure.error, DiskFullError):
                raise
            self._retry_at_s = now_s + RETRY_S
            if self._said_full_s is None or now_s - self._said_full_s >= _SAY_AGAIN_S:
                self._said_full_s = now_s
                log.warning("the disk is full: nothing is acked", error=str(failure.error))
            return []
        if self._said_full_s is not None:
            self._said_full_s = None
            log.info("there is room on the disk again: messages are acked")
        group, self._uncommitted = self._uncommitted, []
        return [delivery for delivery, _ in group]


def _ack(deliveries: Sequence[Delivery], link: Acks) -> None:
    own = [d for d in deliveries if d.link is link and d.tag is not None]
    if own:
        link.ack(own)
    for delivery in own:
        delivery.tag = None


def _call(callback: Callable[[*Ts], None], *arguments: *Ts) -> None:
    try:
        callback(*arguments)
    except Exception as error:
        raise CallbackError(error) from error
