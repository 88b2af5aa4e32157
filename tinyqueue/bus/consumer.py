"""The learner's single consumer thread: receive, hand over, commit, ack."""

from __future__ import annotations

import selectors
import threading
import time
from typing import Generic

import structlog

from tinyqueue.bus.backoff import Reconnects
from tinyqueue.bus.broker import Broker
from tinyqueue.bus.dead_letters import DeadLetters
from tinyqueue.bus.in_hand import CallbackError, InHand
from tinyqueue.bus.links import ConsumingLink
from tinyqueue.bus.messages import Delivery, Handler, Mark
from tinyqueue.bus.rabbitmq_consuming import RabbitmqConsuming
from tinyqueue.bus.redis_consuming import RedisConsuming
from tinyqueue.bus.seldom import Seldom
from tinyqueue.bus.wakeup import Wakeup
from tinyqueue.connection_faults import plain
from tinyqueue.data.identity import new_id
from tinyqueue.errors import ConfigError, ServiceUnreachableError

TICK_S = 1.0
_PROVEN_S = 4.0
"""A connection that has served for so long is one that works."""
_START_S = 30.0

log = structlog.get_logger(__name__)


class ExperienceConsumer(Generic[Mark]):
    """Consumes one experiment's messages in its own thread, and reconnects by itself.

    A delivery is acked only after the handler's ``commit`` has returned for it. A message that
    arrives again while it is in hand, because the connection was lost or its publisher retried, is
    not handed over twice: the delivery in hand takes over its ack.

    Args:
        broker: The broker to consume from.
        experiment: The experiment whose messages to consume. This process holds its lease.
        handler: Takes in every message and commits what is settled, in the consumer's thread.
        queue_batches: Messages that may wait at the broker; more are refused.
        prefetch: Most messages in hand at once: one more than an update needs.
        queue_type: ``classic`` or ``quorum``.
        declare: Whether to declare exchanges and queues.
    """

    def __init__(
        self,
        broker: Broker,
        experiment: str,
        handler: Handler[Mark],
        *,
        queue_batches: int,
        prefetch: int,
        queue_type: str = "classic",
        declare: bool = True,
    ) -> None:
        self._broker = broker
        self._experiment = experiment
        self._queue_batches = queue_batches
        self._prefetch = prefetch
        self._queue_type = queue_type
        self._declare = declare
        self._dead_letters = DeadLetters(broker, experiment, declare=declare)
        self._in_hand = InHand(self._dead_letters, handler, self.settle)
        self._name = new_id()
        self._link: ConsumingLink | None = None
        self._wakeup = Wakeup()
        self._stopping = False
        self._first_try = threading.Event()
        self._thread = threading.Thread(target=self._run, name="consumer", daemon=True)
        self.error: BaseException | None = None
        """The error that ended the thread, if any."""
        self.trouble = ""
        """Why the broker cannot be consumed from, without a full stop; empty while it can."""
        self.ready = 0
        """Messages that wait at the broker, at most a second out of date."""
        self.links = 0
        """Connections so far."""

    @property
    def duplicates(self) -> int:
        """Messages that arrived again while they were in hand."""
        return self._in_hand.duplicates

    @property
    def failures(self) -> int:
        """Messages that were set aside because the handler failed on them."""
        return self._in_hand.failures

    @property
    def letters_dropped(self) -> int:
        """Messages set aside whose content could not be kept."""
        return self._dead_letters.dropped

    def start(self) -> None:
        """Starts the thread and returns once deliveries can arrive.

        Raises:
            ServiceUnreachableError: The broker does not answer.
            ConfigError: The queue cannot be declared or consumed, or there is none for what is set
                aside and this process may not declare it.
        """
        self._thread.start()
        if not self._first_try.wait(_START_S):
            self._stopping = True
            raise ServiceUnreachableError(
                f"the broker at {self._broker.masked_url} took more than {_START_S:g} s to answer. "
                "Check whether it is overloaded."
            )
        if self.error is not None:
            raise self.error

    def stop(self, timeout_s: float) -> None:
        """Commits and acks what is settled, returns the rest to the broker, and ends the thread.

        Queues that are empty then are deleted, if this process may declare them.
        """
        self._stopping = True
        self._wakeup.ring()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def settle(self, delivery: Delivery, mark: Mark, set_aside: str | None = None) -> None:
        """Ends a delivery: commit, then ack. Any thread may call it; the consumer does the work.

        Args:
            delivery: The delivery to end.
            mark: Passed to ``commit`` with the delivery.
            set_aside: A reason, if the message must be kept in ``tinyqueue.dead``.
        """
        self._in_hand.settle(delivery, mark, set_aside)
        self._wakeup.ring()

    def _run(self) -> None:
        try:
            self._keep_connected()
            self._in_hand.finish(self._link)
        except BaseException as error:
            self.error = error.error if isinstance(error, CallbackError) else error
            # Before that, start() raises it.
            if self._first_try.is_set():
                log.error("consumer ended", experiment=self._experiment, error=repr(self.error))
        finally:
            self._first_try.set()
            if self._link is not None:
                self._link.release()
            self._dead_letters.close()
            self._wakeup.close()

    def _keep_connected(self) -> None:
        reconnects = Reconnects(first_s=0.2, most_s=2.0)
        say_unreachable = Seldom(log.warning, "the broker cannot be used; retrying")
        while not self._stopping:
            try:
                link = self._link = self._connect()
            except (ServiceUnreachableError, ConfigError) as error:
                # Once it has worked, a permission or a queue that is gone may come back.
                if not self._first_try.is_set():
                    raise
                say_unreachable(error=str(error))
                self.trouble = plain(error.__cause__ or error)
            else:
                if not self._first_try.is_set():
                    self._dead_letters.check()
                    self._first_try.set()
                began_s = time.monotonic()
                try:
                    self._serve(link)
                    continue
                except CallbackError:
                    raise
                except Exception as error:
                    # Whatever a broker sends may cost the connection, but not the learner.
                    if isinstance(error, (ServiceUnreachableError, ConfigError, *link.errors)):
                        log.warning(
                            "connection lost; reconnecting", error=str(error) or repr(error)
                        )
                    else:
                        log.exception("reading from the broker failed; reconnecting")
                    self.trouble = plain(error)
                    link.close()
                    self._link = None
                    if time.monotonic() - began_s > _PROVEN_S:
                        reconnects.succeeded()
            self._wait(reconnects.failed())

    def _serve(self, link: ConsumingLink) -> None:
        """Runs until the consumer is stopped or the connection is lost."""
        next_tick_s = 0.0
        with selectors.DefaultSelector() as selector:
            selector.register(self._wakeup, selectors.EVENT_READ)
            selector.register(link, selectors.EVENT_READ)
            while not self._stopping:
                now_s = time.monotonic()
                if now_s >= next_tick_s:
                    next_tick_s = now_s + TICK_S
                    self.ready, arrived = link.tick()
                    self.trouble = ""
                    self._in_hand.hand_over(arrived, link)
                for key, _ in selector.select(max(0.0, next_tick_s - time.monotonic())):
                    if key.fileobj is self._wakeup:
                        self._wakeup.clear()
                    else:
                        self._in_hand.hand_over(link.read(), link)
                self._in_hand.finish(link)
        self._in_hand.finish(link)
        link.release()
        self._link = None

    def _connect(self) -> ConsumingLink:
        first = self.links == 0
        self.links += 1
        if self._broker.kind == "redis":
            return RedisConsuming(
                self._broker,
                self._experiment,
                prefetch=self._prefetch,
                name=self._name,
                takes_over=first,
            )
        return RabbitmqConsuming(
            self._broker,
            self._experiment,
            queue_batches=self._queue_batches,
            prefetch=self._prefetch,
            queue_type=self._queue_type,
            declare=self._declare,
        )

    def _wait(self, seconds: float) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._wakeup, selectors.EVENT_READ)
            if selector.select(seconds):
                self._wakeup.clear()
        self._in_hand.finish(None)
