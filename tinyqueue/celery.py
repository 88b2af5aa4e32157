"""The Celery app that ``celery -A tinyqueue`` finds."""

from __future__ import annotations

import logging
import os
import ssl
import sys
from typing import Any
from urllib.parse import parse_qsl

import structlog
from billiard import current_process
from celery import Celery
from celery.concurrency import ALIASES, get_implementation  # type: ignore[attr-defined]
from celery.events.event import event_exchange
from celery.signals import (
    after_setup_logger,
    after_setup_task_logger,
    worker_init,
    worker_process_init,
    worker_process_shutdown,
)
from celery.utils.log import ColorFormatter

from tinyqueue.bus.amqp_frames import tolerant_frame_handler
from tinyqueue.bus.broker import Broker
from tinyqueue.bus.topology import (
    EVALUATE_QUEUE,
    TASKS_EXCHANGE,
    task_queues,
)
from tinyqueue.envs.slot_numbers import PLAYER_INDEX
from tinyqueue.local.children import allow_children, bind_children, end_children
from tinyqueue.printable import make_printable, printable_event
from tinyqueue.settings import PLAIN_URL, Settings, load_settings, unprotected
from tinyqueue.urls import TLS_FILES


def configuration(settings: Settings) -> dict[str, Any]:
    """Celery's settings, each with its reason."""
    return {
        "broker_url": settings.broker,
        "include": ["tinyqueue.tasks"],
        "task_queues": task_queues(settings),
        "task_default_queue": settings.play_queues[0],
        "task_default_exchange": TASKS_EXCHANGE,
        "task_default_routing_key": settings.play_queues[0],
        "task_routes": {"evaluate-policy": {"queue": EVALUATE_QUEUE}},
        # A misspelt -Q must fail rather than create a queue that nobody feeds.
        "task_create_missing_queues": False,
        # A task that dies with its worker is played again; sessions carry their own ids.
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        # A task that raises has reported why and is over. One that has to be killed has a hanging
        # environment, and is requeued until its redeliveries send it to the dead letters.
        "task_acks_on_failure": True,
        "task_acks_on_timeout": False,
        # Nothing is reserved beyond what is being played, so that a leaving worker takes
        # no tasks with it.
        "worker_prefetch_multiplier": 1,
        # No pickle from the network.
        "task_serializer": "json",
        "accept_content": ["json"],
        # Results travel as messages on the experience exchange.
        "task_ignore_result": True,
        # Players outlive their broker, and survive a channel error such as a queue declared with
        # other arguments: how they reconnect is in their consumer.
        "worker_consumer": "tinyqueue.bus.worker_consumer:WorkerConsumer",
        "broker_connection_retry_on_startup": True,
        "broker_channel_error_retry": True,
        "broker_heartbeat": 20,
        "broker_transport_options": _transport_options(settings),
        "broker_use_ssl": _flowers_tls(settings),
        # The root logger and the standard streams belong to whoever started the worker.
        "worker_redirect_stdouts": False,
        "worker_hijack_root_logger": False,
        "worker_max_tasks_per_child": settings.worker_max_tasks_per_child,
        # Whoever reaches a worker's control queue can end all workers.
        "worker_enable_remote_control": settings.remote_control,
        # Flower sees the workers of a login that may send events, but no task-sent events: a
        # learner's login may not declare the event exchange, so each would cost a channel and
        # stay in the sender's memory.
        "worker_send_task_events": True,
        "task_send_sent_event": False,
        # RabbitMQ 4.3 refuses transient queues that are not exclusive.
        "event_queue_exclusive": True,
        # Warm shutdown has no bound of its own: after this a task is cancelled and requeued.
        "worker_soft_shutdown_timeout": 5.0,
    }


def make_app(settings: Settings) -> Celery:
    """A Celery app for the services that the settings name."""
    app = Celery(
        "tinyqueue",
        amqp="tinyqueue.bus.tls:VerifiedAmqp",
        control="tinyqueue.bus.remote_control:RemoteControl",
    )
    app.conf.update(configuration(settings))
    return app


def _transport_options(settings: Settings) -> dict[str, Any]:
    if Broker(settings.broker).kind == "rabbitmq":
        return {"frame_handler": tolerant_frame_handler}
    return {"visibility_timeout": settings.task_visibility_s}


def _flowers_tls(settings: Settings) -> dict[str, Any] | bool:
    """TLS options for Flower's page of queues; everything else takes them from the URL."""
    if not settings.broker.startswith("rediss://"):
        return False
    query = dict(parse_qsl(settings.broker.split(";")[0].partition("?")[2]))
    options: dict[str, Any] = {key: query[key] for key in TLS_FILES if key in query}
    return options | {
        "ssl_cert_reqs": ssl.VerifyMode[f"CERT_{query.get('ssl_cert_reqs', 'required').upper()}"],
        "ssl_check_hostname": query.get("ssl_check_hostname") != "false",
    }


@worker_init.connect
def without_neighbours(sender: Any, **_: Any) -> None:
    """Saves a second at every start: players share no revocations and no logical clock.

    A player's login may not reach the queues that this needs, either.
    """
    sender.options.update(without_mingle=True, without_gossip=True)


@worker_init.connect
def refuse_shared_stages(sender: Any, **_: Any) -> None:
    """Refuses pools that run tasks side by side in one process, which would corrupt batches."""
    pool = get_implementation(sender.pool_cls)
    if pool in (get_implementation("prefork"), get_implementation("solo")):
        return
    asked = next((name for name, path in ALIASES.items() if path == _path(pool)), _path(pool))
    sys.exit(
        f"error: a tinyqueue worker cannot use the pool {asked!r}. Tasks that run side by side "
        "in one process would share its environments and corrupt each other's session batches. "
        "Give each player a process: celery -A tinyqueue worker -P prefork -c 4, "
        "or -P solo for one player."
    )


def _path(kind: type) -> str:
    return f"{kind.__module__}:{kind.__qualname__}"


@worker_init.connect
def refuse_another_broker(**_: Any) -> None:
    """Refuses variables of Celery that win over our settings: nobody would hear of such a worker.

    They are often there for another project, and ``celery --broker`` sets the first.
    """
    own = load_settings().broker
    names = [f"CELERY_BROKER{kind}_URL" for kind in ("", "_READ", "_WRITE")]
    others = [name for name in names if os.environ.get(name, own) not in ("", own)]
    if others:
        sys.exit(
            f"error: {', '.join(others)} would send this worker to another broker than "
            "TINYQUEUE_BROKER_URL, to which it publishes. Name one broker: "
            f"unset {' '.join(others)}, leave out celery --broker, and set TINYQUEUE_BROKER_URL."
        )


@worker_init.connect
def log_through_celery(**_: Any) -> None:
    """Sends structured log lines through Celery's logging: its level, its file, its format."""
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.processors.format_exc_info,
            printable_event,
            structlog.processors.LogfmtRenderer(key_order=["event"], bool_as_flag=False),
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


@after_setup_logger.connect
@after_setup_task_logger.connect
def escape_log_lines(logger: logging.Logger, **_: Any) -> None:
    """Escapes Celery's own lines too: they quote ids and bodies of tasks as they came.

    Without colours, which are such characters too; a setting for that has no effect on a terminal.
    """
    for handler in logger.handlers:
        if isinstance(handler.formatter, ColorFormatter):
            handler.formatter.use_color = False
    make_printable(logger)


@worker_init.connect
def warn_of_plain_urls(**_: Any) -> None:
    """Warns in the worker's log, where its operator looks; a trusted network may do without TLS."""
    for url in unprotected(load_settings()):
        structlog.get_logger(__name__).warning(PLAIN_URL, url=url)


@worker_process_init.connect
def let_environments_have_children(**_: Any) -> None:
    """Lets environments start processes that end with this one, and numbers this player."""
    allow_children()
    bind_children()
    place = getattr(current_process(), "index", 0)
    os.environ[PLAYER_INDEX] = str(int(os.environ.get(PLAYER_INDEX) or 0) + place)


@worker_process_shutdown.connect
def end_what_environments_left(**_: Any) -> None:
    """Ends the processes that environments started and left running."""
    end_children()


def leave_events_declared(settings: Settings) -> None:
    """Makes this process use Celery's exchange of events without declaring it.

    Celery declares it at every use. A login that may do that may also delete it.
    """
    if not settings.declare and Broker(settings.broker).kind == "rabbitmq":
        event_exchange.no_declare = True


app = make_app(load_settings())
leave_events_declared(load_settings())
