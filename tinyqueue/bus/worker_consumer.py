"""The part of a Celery worker that is connected to the broker: how it connects, with what rights.

Celery's own pauses 2, 4, 6, … 30 s between attempts, the same for every worker, and begins anew
without a pause, for ever, when the broker refuses what its login may not do.
"""

from __future__ import annotations

import os
import re
import time
import warnings
from collections.abc import Collection
from typing import Any, ClassVar

import structlog
from amqp.exceptions import AccessRefused, AMQPNotImplementedError, PreconditionFailed
from celery.exceptions import CPendingDeprecationWarning, WorkerShutdown
from celery.utils.threads import bound_open_broker_sockets  # type: ignore[attr-defined]
from celery.worker.consumer import Consumer
from celery.worker.consumer.events import Events
from celery.worker.state import maybe_shutdown
from kombu import Connection, Exchange
from kombu.exceptions import OperationalError

from tinyqueue.bus.backoff import Reconnects
from tinyqueue.bus.broker import LOGIN_REFUSED, drop, fault_of
from tinyqueue.bus.rabbitmq_queues import QueueDownError
from tinyqueue.bus.shared_queues import declare_shared
from tinyqueue.bus.topology import EVALUATE_QUEUE, QUEUE_TYPE, QUORUM, dead_letter_queue
from tinyqueue.connection_faults import TlsUse, plain
from tinyqueue.urls import masked

REFUSED_TRIES = 5
"""A worker that has never worked ends itself when the broker has refused it this often."""
PROVEN_S = 10.0
"""A connection that has lasted for so long after its start is one that works."""
_WAKE_S = 0.2
_GOODBYE_S = 3.0
_QUEUE = re.compile(r"access to queue '([^']+)'")
_EXCLUSIVE = re.compile(r"queue '([^']+)' in vhost '[^']*' in exclusive use")

log = structlog.get_logger(__name__)


class WorkerConsumer(Consumer):
    """Celery's consumer, with pauses of at most 5 s, and content with the rights that it has.

    * Queues and dead letters are declared if settings and login allow it.
    * A login that may not send events plays without being seen in Flower.
    * A queue that the login may not read is left out.
    * Queues may be quorum queues, whatever this machine's settings say.
    * What is refused otherwise ends a worker that has never worked, with what to do.
    """

    class Blueprint(Consumer.Blueprint):  # type: ignore[valid-type, misc]
        """Celery's steps but one: with quorum queues it would declare 28 for delayed tasks."""

        default_steps: ClassVar[list[str]] = [
            step for step in Consumer.Blueprint.default_steps if "delayed_delivery" not in step
        ]

    # Celery's own, which its stubs leave out.
    amqheartbeat: float
    blueprint: Any
    event_dispatcher: Any
    conninfo: Connection
    connection: Connection | None
    hub: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._reconnects = Reconnects()
        self._refusals = 0
        self._is_proven = False
        self._ready_s: float | None = None
        super().__init__(*args, **kwargs)
        self._may_declare = not any(queue.no_declare for queue in self._queues())
        # Of any type for the stubs, which know nothing of it.
        self._events: Any = {type(step): step for step in self.blueprint.order}[Events]
        self._wants_events = bool(self._events.send_events)

    def ensure_connected(self, conn: Connection) -> Connection:
        """Connects; tries for ever, and ends at once when the worker shall stop."""
        while True:
            maybe_shutdown()
            try:
                conn.ensure_connection(
                    max_retries=max(0, len(conn.alt) - 1), interval_start=0, interval_step=0
                )
            except OperationalError as error:
                pause_s = self._reconnects.failed()
                _, why, advice = fault_of(error, _tls_of(conn))
                log.error(
                    "no connection to the broker; trying again",
                    broker=masked(conn.as_uri()),
                    error=f"{why}. {advice}",
                    in_s=round(pause_s, 1),
                )
                _pause(pause_s)
            else:
                self.first_connection_attempt = False
                return conn

    def connect(self) -> Connection:
        """Connects, and finds out what the login may do."""
        connection = self.connection_for_read(heartbeat=self.amqheartbeat)
        try:
            self._declare(connection)
            if connection.transport.driver_type == "amqp":
                self._look_for_events(connection)
        except BaseException:
            connection.collect()
            raise
        if self.hub:
            connection.transport.register_with_event_loop(connection.connection, self.hub)
        return connection

    def on_ready(self) -> None:
        """Called by Celery when tasks are consumed."""
        self._ready_s = time.monotonic()
        super().on_ready()

    def on_connection_error_before_connected(self, exc: Exception) -> None:
        """Called by Celery when the broker did not accept the login."""
        super().on_connection_error_before_connected(exc)
        self._rest(exc)

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Called by Celery when the connection is lost, or the broker has refused something."""
        if (of_events := self._connection_of_events()) is not None:
            drop(of_events)
        if isinstance(exc, AMQPNotImplementedError):
            # A quorum queue knows no prefetch for a whole channel, which is what Celery asked for.
            for queue in self._queues():
                queue.queue_arguments[QUEUE_TYPE] = QUORUM
        with warnings.catch_warnings():
            # Of a change in Celery 6 that concerns tasks which must not run twice.
            warnings.simplefilter("ignore", CPendingDeprecationWarning)
            super().on_connection_error_after_connected(exc)
        self._rest(exc)

    def stop(self) -> None:
        """Called by Celery when the worker is to end, before its last task has.

        Celery would wait for the answer of a broker that has gone without a word, for ever. What
        is acked too late for the bound comes again, which is safe.
        """
        self._bound_goodbyes()
        super().stop()

    def shutdown(self) -> None:
        """Called by Celery at the end."""
        self._bound_goodbyes()
        super().shutdown()

    def _bound_goodbyes(self) -> None:
        for connection in (self.connection, self._connection_of_events()):
            bound_open_broker_sockets(connection, _GOODBYE_S)

    def _connection_of_events(self) -> Connection | None:
        """The connection of its own by which events are sent.

        Celery bounds the goodbye on all connections but this one, on which it would wait for the
        answer of a broker that has gone without a word, for ever.
        """
        return getattr(self.event_dispatcher, "connection", None)

    def _declare(self, connection: Connection) -> None:
        """Declares what tasks need. RabbitMQ drops a dead letter whose exchange does not exist."""
        if not self._may_declare:
            return
        queues = self._queues()
        try:
            for queue in queues:
                declare_shared(connection, queue)
            with connection.channel() as channel:
                dead_letter_queue()(channel).declare()
        except QueueDownError as error:
            log.error("a queue's node is down", error=str(error))
            return
        except AccessRefused:
            pass
        else:
            return
        self._may_declare = False
        log.info("this login may declare no queues; a learner or its operator must have done so")
        for queue in queues:
            queue.no_declare = queue.exchange.no_declare = True

    def _look_for_events(self, connection: Connection) -> None:
        exchange = Exchange(self.app.conf.event_exchange, type="topic")
        try:
            may = self._wants_events and _may_declare(connection, exchange)
            why = "this login may send no events"
        except PreconditionFailed as error:
            # Whoever may declare it can delete it and declare another.
            may, why = False, plain(error)
        if self._wants_events and not may:
            log.info(f"{why}; Flower does not show this worker")
        self._events.send_events = may

    def _queues(self) -> list[Any]:
        return list(self.app.amqp.queues.consume_from.values())

    def _rest(self, exc: Exception) -> None:
        now_s = time.monotonic()
        if self._ready_s is not None and now_s - self._ready_s > PROVEN_S:
            self._is_proven = True
            self._refusals = 0
            self._reconnects.succeeded()
        self._ready_s = None
        if isinstance(exc, AccessRefused) and (found := _EXCLUSIVE.search(str(exc))):
            log.error(
                "another login consumes a queue exclusively, so this worker gets no tasks; find it "
                "with rabbitmqctl list_consumers, and take its permission to read the queue",
                queue=found[1],
            )
        elif isinstance(exc, AccessRefused) and not self._leaves_out(exc):
            self._refusals += 1
            if self._refusals >= REFUSED_TRIES and not self._is_proven:
                names = [queue.name for queue in self._queues()]
                log.critical(refused_text(exc, masked(self.conninfo.as_uri()), names))
                raise WorkerShutdown(os.EX_NOPERM)
        _pause(self._reconnects.failed())

    def _leaves_out(self, exc: AccessRefused) -> bool:
        """Whether the worker can go on without the queue that it may not read."""
        found = _QUEUE.search(str(exc))
        names = [queue.name for queue in self._queues()]
        if not found or found[1] not in names or len(names) < 2:
            return False
        self.app.amqp.queues.deselect([found[1]])
        log.warning("this login may not read a queue; going on without it", queue=found[1])
        return True


def _tls_of(connection: Connection) -> TlsUse:
    options = connection.ssl if isinstance(connection.ssl, dict) else {}
    authorities = options.get("ca_certs") or options.get("ssl_ca_certs") or ""
    return TlsUse(bool(connection.ssl), str(authorities))


def _pause(pause_s: float) -> None:
    until_s = time.monotonic() + pause_s
    while (left_s := until_s - time.monotonic()) > 0:
        maybe_shutdown()
        time.sleep(min(left_s, _WAKE_S))


def _may_declare(connection: Connection, exchange: Exchange) -> bool:
    """Declares, on a channel of its own, which a refusal closes."""
    try:
        with connection.channel() as channel:
            exchange(channel).declare()
    except AccessRefused:
        return False
    return True


def refused_text(exc: AccessRefused, broker: str, queues: Collection[str]) -> str:
    """The last words of a worker that the broker has refused from its start.

    Args:
        exc: What the broker said.
        broker: Its URL, with its password masked.
        queues: The queues that the worker was to take tasks from.
    """
    why = plain(exc)
    if LOGIN_REFUSED in why:
        advice = (
            "Correct user or password in TINYQUEUE_BROKER_URL, or create the login with "
            "scripts/rabbitmq-users.sh"
        )
    else:
        role = "player, or visible-player to be seen in Flower"
        if EVALUATE_QUEUE in queues:
            role = f"evaluator, for the queue {EVALUATE_QUEUE}" + (
                "" if len(queues) == 1 else f"; for others {role}"
            )
        advice = (
            "Give its login the permissions of a role in "
            f"config/services/rabbitmq-permissions.tsv with scripts/rabbitmq-users.sh ({role}), "
            "correct TINYQUEUE_BROKER_URL, or turn off what the role does not allow: "
            "TINYQUEUE_REMOTE_CONTROL=0"
        )
    return (
        f"the broker at {broker} has refused this worker {REFUSED_TRIES} times: {why}. {advice}. "
        "This worker ends"
    )
