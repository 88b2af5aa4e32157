"""Every exchange and queue, in one place: RabbitMQ answers conflicting declarations with a 406."""

from __future__ import annotations

from typing import Any

from kombu import Exchange, Queue

from tinyqueue.data.identity import new_id
from tinyqueue.settings import Settings
from tinyqueue.wire.limits import SESSION_LIMITS

TASKS_EXCHANGE = "tinyqueue.tasks"
EVALUATE_QUEUE = "evaluate"
EXPERIENCE_EXCHANGE = "experience"
KEPT_EXCHANGE = "experience.kept"
"""By which RabbitMQ itself moves what a restart drops; no player's login may publish to it."""
DEAD_LETTERS = "tinyqueue.dead"
"""Exchange and queue of messages set aside, and of tasks that were delivered too often."""

QUEUE_TYPE, QUORUM = "x-queue-type", "quorum"
"""The argument of a queue that is replicated over the nodes of a cluster, and its value."""
_EVALUATIONS = ".evaluations"
KEPT, SUCCESSOR, COPY = ".kept", ".next", ".copy-"
"""Endings of queue names."""
KEPT_RESTARTS = 8
"""Restarts of RabbitMQ in a row whose dropped messages are kept, with no learner in between."""

MAX_WAITING_TASKS = 10_000
"""The feeds keep far fewer; this limit is for a runaway sender."""
MAX_DEAD_LETTERS = 1_000
MAX_DEAD_LETTER_BYTES = 256 * 2**20
DEAD_LETTER_S = 7 * 24 * 3600


def tasks_exchange(broker_kind: str) -> str:
    """Where tasks are published. On Redis it is "": straight to their queue.

    There an exchange is a set of bindings that exists only once declared: after FLUSHALL, or a
    restart of the server, kombu finds no queue bound to it and silently drops every task.
    """
    return TASKS_EXCHANGE if broker_kind == "rabbitmq" else ""


def task_queues(settings: Settings) -> tuple[Queue, ...]:
    """The durable queues of play and evaluation tasks, for Celery's ``task_queues``."""
    of_type = {QUEUE_TYPE: QUORUM} if settings.queue_type == QUORUM else {}
    exchange = Exchange(TASKS_EXCHANGE, "direct", durable=True, no_declare=not settings.declare)
    names = dict.fromkeys((*settings.play_queues, EVALUATE_QUEUE))
    return tuple(
        Queue(
            name,
            exchange,
            routing_key=name,
            durable=True,
            no_declare=not settings.declare,
            queue_arguments={
                "x-max-length": MAX_WAITING_TASKS,
                "x-overflow": "reject-publish",
                "x-dead-letter-exchange": DEAD_LETTERS,
                **of_type,
            },
        )
        for name in names
    )


def experience_exchange() -> Exchange:
    """Where players publish, with the routing key ``<experiment>.<user>``."""
    return Exchange(EXPERIENCE_EXCHANGE, "topic", durable=True)


def experience_routing_key(experiment: str, user: str) -> str:
    """``<experiment>.<user>``, which RabbitMQ's topic permissions check per login."""
    return f"{experiment}.{user}"


def evaluation_routing_key(experiment: str, user: str) -> str:
    """``<experiment>.<user>.evaluations``: only logins of evaluating workers may publish by it."""
    return f"{experience_routing_key(experiment, user)}{_EVALUATIONS}"


def sender_of(routing_key: str, user_id: str) -> tuple[str, bool]:
    """Who sent a message to the experience exchange.

    Args:
        routing_key: Checked against the login's topic permissions; empty if it is not known any
            more, as for a message that a restart of RabbitMQ has moved.
        user_id: Checked by RabbitMQ against the login; empty if the sender left it out.

    Returns:
        The login, ``?`` where RabbitMQ could check neither, and whether it may answer evaluations.
    """
    plain = routing_key.removesuffix(_EVALUATIONS)
    if "." not in plain:
        # What a player whose login is "evaluations" may publish by.
        plain = routing_key
    _, _, named = plain.partition(".")
    return user_id or named or "?", plain != routing_key


def experience_queue_name(experiment: str) -> str:
    """The name of the queue of one experiment."""
    return f"{EXPERIENCE_EXCHANGE}.{experiment}"


def experience_queue(
    experiment: str, max_length: int, queue_type: str = "classic", *, successor: bool = False
) -> Queue:
    """The queue of one experiment, which only its learner declares.

    Args:
        experiment: Name of the experiment.
        max_length: Messages that may wait; RabbitMQ refuses more. Unacked ones do not count.
        queue_type: ``classic`` or ``quorum``.
        successor: The queue's second name, used while the first still holds messages under
            other arguments, which RabbitMQ cannot change.
    """
    arguments: dict[str, Any] = {
        "x-max-length": max_length,
        "x-overflow": "reject-publish",
        "x-single-active-consumer": True,
    }
    name = experience_queue_name(experiment)
    if queue_type == QUORUM:
        # RabbitMQ 4 drops a message after 20 returns unless told otherwise; every reconnect
        # of a learner is a return.
        arguments |= {QUEUE_TYPE: QUORUM, "x-delivery-limit": 1_000_000}
    else:
        arguments |= {
            "x-dead-letter-exchange": KEPT_EXCHANGE,
            "x-dead-letter-routing-key": experiment,
        }
    return Queue(
        f"{name}{SUCCESSOR}" if successor else name,
        experience_exchange(),
        routing_key=f"{experiment}.#",
        durable=True,
        queue_arguments=arguments,
    )


def experience_copy_queue(experiment: str, max_length: int) -> Queue:
    """An exclusive queue for one reader beside the learner, deleted with its connection.

    It drops its oldest message where the learner's refuses, so it holds back nobody.

    Args:
        experiment: Name of the experiment.
        max_length: Messages that may wait.
    """
    return Queue(
        f"{EXPERIENCE_EXCHANGE}.{experiment}{COPY}{new_id()}",
        experience_exchange(),
        routing_key=f"{experiment}.#",
        durable=False,
        exclusive=True,
        auto_delete=True,
        queue_arguments={
            "x-max-length": max_length,
            "x-max-length-bytes": max_length * SESSION_LIMITS.body_bytes,
            "x-overflow": "drop-head",
        },
    )


def kept_queue(
    experiment: str, max_length: int, prefetch: int, *, successor: bool = False
) -> Queue:
    """The queue of what a restart of RabbitMQ would drop from the experiment's classic queue.

    A classic queue comes back with the unacked messages as well as the waiting ones. When these
    exceed ``x-max-length`` it drops the oldest, confirmed ones, since it applies the length
    before ``reject-publish``. But it dead-letters what it drops, and this queue receives that. A
    quorum queue drops nothing, and has no such queue.

    It has an exchange of its own. RabbitMQ compares a player's permission with the routing key of
    its message, and not with those in the headers ``CC`` and ``BCC``, by which it delivers too.

    A restart drops at most ``prefetch`` messages. This queue has room for :data:`KEPT_RESTARTS`
    times everything that the experiment may have at the broker, and for all of it once at the
    largest size. It is bounded because messages whose sender lets them expire come here too: the
    oldest go first, so that what a restart has just dropped stays.

    Args:
        experiment: Name of the experiment.
        max_length: Messages that may wait in the experience queue.
        prefetch: Most messages in hand of its learner.
        successor: The second name, as for :func:`experience_queue`.
    """
    most = max_length + prefetch
    name = f"{EXPERIENCE_EXCHANGE}.{experiment}{KEPT}"
    return Queue(
        f"{name}{SUCCESSOR}" if successor else name,
        Exchange(KEPT_EXCHANGE, "direct", durable=True),
        routing_key=experiment,
        durable=True,
        queue_arguments={
            "x-single-active-consumer": True,
            "x-max-length": KEPT_RESTARTS * most,
            "x-max-length-bytes": most * SESSION_LIMITS.body_bytes,
            "x-overflow": "drop-head",
        },
    )


def unbind_from_players(channel: Any, kept: Queue) -> None:
    """Undoes the binding of a kept queue of an earlier version, by which players could reach it.

    Nothing may dead-letter by it any more.
    """
    channel.queue_unbind(kept.name, EXPERIENCE_EXCHANGE, f".kept.{kept.routing_key}")


def dead_letter_queue() -> Queue:
    """The queue of dead letters, bounded in number, bytes and age.

    The oldest are dropped first, and a publish is never refused.
    """
    return Queue(
        DEAD_LETTERS,
        Exchange(DEAD_LETTERS, "topic", durable=True),
        routing_key="#",
        durable=True,
        queue_arguments={
            "x-max-length": MAX_DEAD_LETTERS,
            "x-max-length-bytes": MAX_DEAD_LETTER_BYTES,
            "x-message-ttl": DEAD_LETTER_S * 1000,
        },
    )
