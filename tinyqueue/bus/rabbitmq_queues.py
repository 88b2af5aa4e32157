"""The queues that a learner consumes on RabbitMQ: declared, replaced, and deleted once empty.

A queue's arguments cannot be changed. If a queue exists with other arguments, its successor is
declared and bound instead. The old one is unbound, emptied and deleted; the next learner goes back
to the first name.
"""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import structlog
from amqp.exceptions import AMQPNotImplementedError, NotFound, PreconditionFailed
from kombu import Connection, Queue

from tinyqueue.bus.broker import Broker, drop, new_channel
from tinyqueue.bus.topology import (
    EXPERIENCE_EXCHANGE,
    experience_queue,
    kept_queue,
    unbind_from_players,
)
from tinyqueue.errors import ConfigError, ServiceUnreachableError

_DIFFERS = "inequivalent arg"
"""What RabbitMQ says of a queue that exists with other arguments."""
_IN_FLIGHT_S = 0.2
"""Between the last look at a quorum queue that nothing is bound to any more, and its deletion."""

log = structlog.get_logger(__name__)


class State(NamedTuple):
    """What a queue holds: messages that nobody has in hand, and consumers."""

    messages: int
    consumers: int


class QueueDownError(Exception):
    """The queue exists, but its node is down."""


class ExperienceQueues:
    """The queues of one experiment, seen through one connection.

    Args:
        broker: The broker.
        connection: An open connection to it.
        experiment, queue_batches, prefetch, queue_type: As for
            :class:`~tinyqueue.bus.consumer.ExperienceConsumer`.

    Attributes:
        main: The experience queue that is bound.
        kept: The queue of what a restart drops from it; None where there is none, or where its
            node is down.
        retiring: Queues that are emptied.
    """

    def __init__(
        self,
        broker: Broker,
        connection: Connection,
        experiment: str,
        queue_batches: int,
        prefetch: int,
        queue_type: str,
    ) -> None:
        self._broker = broker
        self._connection = connection
        self._mains = [
            experience_queue(experiment, queue_batches, queue_type, successor=successor)
            for successor in (False, True)
        ]
        self._kepts = [
            kept_queue(experiment, queue_batches, prefetch, successor=successor)
            for successor in (False, True)
        ]
        self._has_kept = queue_type == "classic"
        self.main: Queue = self._mains[0]
        self.kept: Queue | None = None
        self.retiring: list[Queue] = []

    def declare(self) -> None:
        """Declares what is missing, and retires what has other arguments.

        Raises:
            ConfigError: A queue and its successor both hold messages under other arguments.
            amqp.exceptions.AMQPError, OSError: The broker did not do what it was asked.
        """
        self.retiring = []
        if self._has_kept:
            # First, because the experience queue may dead-letter to it from the start.
            self.find_kept()
        self.main = self._declare_one(self._mains)
        if not self._has_kept:
            # Of a time when the experience queue was a classic one.
            self.retiring += [queue for queue in self._kepts if self._is_there(queue)]
        self._unbind_from_players()

    def has_exchange(self) -> bool:
        """Whether there is anything that players can publish to."""
        channel = new_channel(self._connection)
        try:
            channel.exchange_declare(EXPERIENCE_EXCHANGE, "topic", passive=True)
        except NotFound:
            return False
        channel.close()
        return True

    def bind_again(self) -> None:
        """Declares the exchange and binds the main queue to it, after it was deleted.

        Raises:
            QueueDownError: The node of the queue is down.
        """
        self._declare(self.main)

    def find(self) -> None:
        """Expects what an operator has declared, whatever its arguments."""
        kept = self._kepts[0]
        try:
            if look(self._connection, kept.name) is not None or self._has_kept:
                self.kept = kept
        except QueueDownError as error:
            _tell_down(kept, error)

    def find_kept(self) -> None:
        """Declares the queue of what a restart drops, if its node is up."""
        try:
            self.kept = self._declare_one(self._kepts)
        except QueueDownError as error:
            _tell_down(self._kepts[0], error)

    @property
    def lacks_kept(self) -> bool:
        """Whether there should be a queue of what a restart drops, but its node was down."""
        return self._has_kept and self.kept is None

    def may_retire(self, queue: Queue) -> bool:
        """Whether a retiring queue that the caller has nothing in hand of seems empty."""
        if queue in self._kepts and any(other in self._mains for other in self.retiring):
            return False  # A classic queue may still dead-letter to it.
        try:
            state = look(self._connection, queue.name)
        except QueueDownError:
            return False
        return state is None or not state.messages

    def retire(self, queue: Queue) -> bool:
        """Deletes a retiring queue that has no consumer any more; False if that cannot be done."""
        of_broker = self._broker.errors(self._connection)
        errors: tuple[type[BaseException], ...] = (ServiceUnreachableError, *of_broker)
        try:
            if not delete_unused(self._broker, queue, is_bound=queue in self._kepts):
                return False
        except errors as error:
            # Of a connection of its own, which is no reason to give up the consumer's.
            log.warning("queue not deleted yet", queue=queue.name, error=str(error))
            return False
        log.info("queue deleted", queue=queue.name)
        self.retiring.remove(queue)
        self._unbind_from_players()
        return True

    def delete_empty(self) -> None:
        """At the end of a run: deletes its queues unless they hold messages or are consumed.

        Raises:
            ServiceUnreachableError: The broker does not answer.
        """
        for queue in (self.main, self.kept):
            if queue is not None and not delete_unused(self._broker, queue, is_bound=True):
                return

    def _declare_one(self, names: list[Queue]) -> Queue:
        """Declares the queue under its first name, else its second; returns which."""
        for queue, other in (names, reversed(names)):
            try:
                self._declare(queue)
            except PreconditionFailed as error:
                if _DIFFERS not in str(error):
                    raise  # Such as a vhost that may have no more queues.
                continue
            if self._is_there(other):
                self._unbind(other)
                if not delete_unused(self._broker, other, is_bound=False):
                    self.retiring.append(other)
                    log.info("emptying a queue with other arguments", queue=other.name)
            return queue
        raise ConfigError(
            f"the queues {names[0].name} and {names[1].name} hold messages and have other "
            "arguments than this experiment's. Use the earlier queue_batches until they are "
            "empty, or delete one of them."
        )

    def _declare(self, queue: Queue) -> None:
        channel = new_channel(self._connection)
        try:
            queue(channel).declare()
        except NotFound as error:
            if is_absent(error):
                raise
            raise QueueDownError(str(error)) from error
        finally:
            channel.close()

    def _is_there(self, queue: Queue) -> bool:
        try:
            return look(self._connection, queue.name) is not None
        except QueueDownError as error:
            _tell_down(queue, error)
            return False

    def _unbind_from_players(self) -> None:
        # An experience queue of an earlier version still dead-letters by that binding.
        if self.kept is None or any(queue in self._mains for queue in self.retiring):
            return
        channel = new_channel(self._connection)
        unbind_from_players(channel, self.kept)
        channel.close()

    def _unbind(self, queue: Queue) -> None:
        channel = new_channel(self._connection)
        channel.queue_unbind(queue.name, queue.exchange.name, queue.routing_key)
        channel.close()


def look(connection: Connection, queue: str) -> State | None:
    """What a queue holds; None if it does not exist.

    Raises:
        QueueDownError: Its node is down.
    """
    channel = new_channel(connection)
    try:
        found: Any = channel.queue_declare(queue, passive=True)
    except NotFound as error:
        if is_absent(error):
            return None
        raise QueueDownError(str(error)) from error
    finally:
        channel.close()
    return State(found.message_count, found.consumer_count)


def is_absent(error: NotFound) -> bool:
    """Whether there is no such queue. Otherwise its node is down, which is temporary."""
    return "no queue" in str(error)


def delete_unused(broker: Broker, queue: Queue, *, is_bound: bool) -> bool:
    """Deletes a queue that holds no message and has no consumer, on a connection of its own.

    A quorum queue knows no conditions for its deletion, and the attempt costs the connection. It
    is looked at twice while nothing is bound to it, so that no confirmed message is deleted.

    Args:
        broker: The broker.
        queue: The queue.
        is_bound: Whether it is bound, and must stay so if it is not deleted.

    Returns:
        Whether it does not exist any more.

    Raises:
        ServiceUnreachableError: The broker does not answer.
    """
    connection = broker.open()
    try:
        new_channel(connection).queue_delete(queue.name, if_unused=True, if_empty=True)
    except (PreconditionFailed, NotFound):
        return False
    except AMQPNotImplementedError:
        return _delete_unused_quorum(broker, queue, is_bound)
    finally:
        drop(connection)
    return True


def _delete_unused_quorum(broker: Broker, queue: Queue, is_bound: bool) -> bool:
    connection = broker.open()
    try:
        channel = new_channel(connection)
        names = (queue.name, queue.exchange.name, queue.routing_key)
        if look(connection, queue.name) != State(0, 0):
            return False
        channel.queue_unbind(*names)
        time.sleep(_IN_FLIGHT_S)
        if look(connection, queue.name) == State(0, 0):
            channel.queue_delete(queue.name)
            return True
        if is_bound:
            channel.queue_bind(*names)
    except QueueDownError:
        pass
    finally:
        drop(connection)
    return False


def _tell_down(queue: Queue, error: Exception) -> None:
    log.warning("the queue's node is down; going on without it", queue=queue.name, error=str(error))
