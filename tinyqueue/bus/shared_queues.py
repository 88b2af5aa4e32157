"""Declaring queues that many machines share, whose settings may not agree on their type."""

from __future__ import annotations

from typing import Any

import structlog
from amqp.exceptions import NotFound, PreconditionFailed
from kombu import Connection, Queue

from tinyqueue.bus.broker import new_channel
from tinyqueue.bus.rabbitmq_queues import QueueDownError, is_absent
from tinyqueue.bus.topology import QUEUE_TYPE, QUORUM
from tinyqueue.connection_faults import plain

log = structlog.get_logger(__name__)


def declare_shared(connection: Connection, queue: Queue) -> None:
    """Declares a queue, or takes one that exists with another type as it is.

    RabbitMQ cannot change a queue's type, and whoever came first has chosen it. From then on this
    process declares ``queue`` no more, and knows its type.

    Raises:
        QueueDownError: Its node is down.
        amqp.exceptions.AMQPError, OSError: The broker did not do what it was asked.
    """
    channel = new_channel(connection)
    try:
        queue(channel).declare()
    except NotFound as error:
        if is_absent(error):
            raise
        raise QueueDownError(plain(error)) from error
    except PreconditionFailed as error:
        if QUEUE_TYPE not in str(error):
            raise
        _take(connection, queue)
    finally:
        channel.close()


def _take(connection: Connection, queue: Any) -> None:
    arguments = queue.queue_arguments
    log.info(
        "this queue exists with another type, and is used as it is. To change it, delete it while "
        "no learner and no worker runs",
        queue=queue.name,
        wanted=arguments.get(QUEUE_TYPE, "classic"),
    )
    if QUEUE_TYPE in arguments:
        del arguments[QUEUE_TYPE]
    else:
        arguments[QUEUE_TYPE] = QUORUM
    queue.no_declare = True
    channel = new_channel(connection)
    try:
        queue(channel).queue_bind()
    finally:
        channel.close()
