"""Deliveries from their arrival to their ack: each handed over once, committed, then acked."""

from __future__ import annotations

import time
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, TypeVarTuple

import structlog

from tinyqueue.bus.dead_letters import DeadLetters
from tinyqueue.bus.messages import Acks, Delivery, Handler, Mark, Settle
from tinyqueue.bus.seldom import Seldom
from tinyqueue.errors import MessageError, NotNowError, TinyqueueError
from tinyqueue.wire.fields import short_text

RETRY_S = 1.0
"""Between two attempts to commit while that is not possible."""
_MOST_TRACEBACK = 4_000
"""Characters; the last ones say where."""

Ts = TypeVarTuple("Ts")

log = structlog.get_logger(__name__)


class CallbackError(Exception):
    """Keeps an error of ``on_delivery`` or ``commit`` apart from trouble with the broker."""

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


class _Over(NamedTuple, Generic[Mark]):
    """A delivery that was settled."""

    delivery: Delivery
    mark: Mark
    set_aside: str | None


class InHand(Generic[Mark]):
    """Everything received but not yet acked. For one thread, except :meth:`settle`.

    A message that arrives again while it is in hand is not handed over twice. Either the
    connection was lost, and the delivery in hand takes over the newer one's ack; or it was
    published twice, and the second is acked at once, since the first is still unacked. Messages
    are known by their sender and their id, so that no login can take another's place.

    A message may cost itself, and nothing else: if the handler fails on it in a way that nobody
    foresaw, it is set aside with the reason ``error`` and its neighbours go on.

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
        self._by_id: dict[tuple[str, str], Delivery] = {}
        self._settled: deque[_Over[Mark]] = deque()
        self._not_set_aside: list[_Over[Mark]] = []
        self._uncommitted: list[tuple[Delivery, Mark]] = []
        self._forgotten: list[Delivery] = []
        """Acked without a record, since even recording their failure has failed."""
        self._retry_at_s = 0.0
        self._is_waiting = False
        self._say_waits = Seldom(log.warning, "nothing can be recorded, so nothing is acked")
        self._say_failed = Seldom(log.error, "message set aside: the learner failed on it")
        self.duplicates = 0
        self.failures = 0
        """Messages that the handler failed on."""

    def settle(self, delivery: Delivery, mark: Mark, set_aside: str | None) -> None:
        """Notes that a delivery is over. Any thread may call it."""
        self._settled.append(_Over(delivery, mark, set_aside))

    def hand_over(self, arrived: Sequence[Delivery], link: Acks) -> None:
        """Hands the handler what arrived through a link.

        Raises:
            CallbackError: ``on_delivery`` raised an error on purpose: of the lease or the disk.
        """
        for delivery in arrived:
            delivery.link = link
            name = _name(delivery)
            earlier = self._by_id.get(name)
            if earlier is None:
                if delivery.message_id:
                    self._by_id[name] = delivery
                self._take(delivery)
                continue
            self.duplicates += 1
            if earlier.link is link:
                _ack([delivery], link)
            else:
                earlier.tag, earlier.link = delivery.tag, link

    def finish(self, link: Acks | None) -> None:
        """Sets aside, commits and acks what is settled, in this order.

        While ``commit`` raises NotNowError nothing is acked, and it is tried once a second.

        Args:
            link: The current one. What an earlier link delivered is committed but not acked: the
                broker has taken the message back, and will send it again. None while the broker
                is away: nothing is set aside then.

        Raises:
            CallbackError: ``commit`` raised an error on purpose: of the lease or the disk.
                Nothing was acked.
        """
        self._sort_settled(link)
        done = self._committed()
        for delivery in done:
            if self._by_id.get(_name(delivery)) is delivery:
                del self._by_id[_name(delivery)]
        if link is not None:
            _ack(done, link)

    def _sort_settled(self, link: Acks | None) -> None:
        """Moves what need not be set aside, or is, to what waits for its commit."""
        # Each leaves the list once it is done: an error of the connection loses no other.
        waiting = self._not_set_aside
        while self._settled:
            over = self._settled.popleft()
            if not over.delivery.has_failed:
                waiting.append(over)
        place = 0
        while place < len(waiting):
            delivery, mark, reason = waiting[place]
            if reason is None or (link is not None and self._dead_letters.put(delivery, reason)):
                self._uncommitted.append((delivery, mark))
                del waiting[place]
            else:
                place += 1

    def _take(self, delivery: Delivery) -> None:
        if delivery.expires:
            told = "a message with an expiration may vanish after its confirm"
            self._set_aside(delivery, MessageError("expiration", told))
            return
        try:
            _call(self._handler.on_delivery, delivery, self._settle)
        except CallbackError as failure:
            self._failed(delivery, failure)

    def _committed(self) -> list[Delivery]:
        """Commits what waits for it together; one by one if one of them fails for itself."""
        done: list[Delivery] = []
        now_s = time.monotonic()
        at_once = None if now_s >= self._retry_at_s else 0
        while group := self._uncommitted[:at_once]:
            try:
                _call(self._handler.commit, group)
            except CallbackError as failure:
                if isinstance(failure.error, NotNowError):
                    self._retry_at_s = now_s + RETRY_S
                    self._is_waiting = True
                    self._say_waits(error=str(failure.error))
                    break
                if len(group) > 1 and not _is_on_purpose(failure.error):
                    at_once = 1
                    continue
                self._failed(group[0][0], failure)
            else:
                done += [delivery for delivery, _ in group]
                if self._is_waiting:
                    self._is_waiting = False
                    log.info("messages are recorded and acked again")
            del self._uncommitted[: len(group)]
        forgotten, self._forgotten = self._forgotten, []
        return done + forgotten

    def _failed(self, delivery: Delivery, failure: CallbackError) -> None:
        """Sets a message aside that the handler failed on; passes on any other kind of failure."""
        error = failure.error
        if _is_on_purpose(error):
            raise failure
        self.failures += 1
        self._say_failed(
            message=delivery.message_id,
            login=delivery.login,
            content_type=delivery.content_type,
            traceback="".join(traceback.format_exception(error))[-_MOST_TRACEBACK:],
        )
        if not isinstance(error, MessageError):
            error = MessageError("error", short_text(f"{type(error).__name__}: {error}"))
        self._set_aside(delivery, error)

    def _set_aside(self, delivery: Delivery, error: MessageError) -> None:
        if delivery.has_failed:
            self._forgotten.append(delivery)
            return
        delivery.has_failed = True
        try:
            mark = self._handler.refused(delivery, error)
        except Exception as failure:
            self._failed(delivery, CallbackError(failure))
            return
        self._not_set_aside.append(_Over(delivery, mark, error.reason))


def _name(delivery: Delivery) -> tuple[str, str]:
    return delivery.login, delivery.message_id


def _is_on_purpose(error: Exception) -> bool:
    return isinstance(error, TinyqueueError | OSError) and not isinstance(error, MessageError)


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
