"""Which broker a URL names, what it offers, and connections that are bounded in time."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import structlog
from kombu import Connection
from kombu.exceptions import OperationalError

from tinyqueue.bus.amqp_frames import tolerant_frame_handler
from tinyqueue.bus.tls import VerifiedConnection
from tinyqueue.errors import ConfigError, ServiceUnreachableError
from tinyqueue.urls import BROKER_SCHEMES, RABBITMQ_SCHEMES, check_url, masked

CONNECT_S = 5.0
"""Bound on connecting, and on every single answer of the broker after that."""
CONSUMER_HEARTBEAT_S = 30
PUBLISHER_HEARTBEAT_S = 60
"""Nobody sends it: an idle player's connection is closed by the broker after two of these, as
that of a machine which has vanished is, and made anew by its next publish."""
_USER_TIMEOUT_MS = 10_000
"""py-amqp's own, 1,000, ends a connection at every short hiccup of a network."""

log = structlog.get_logger(__name__)


class Broker:
    """A message broker, named by its URL. Holds no connection.

    Args:
        url: ``amqp://`` or ``amqps://`` for RabbitMQ; ``redis://``, ``rediss://`` or
            ``redis+socket://`` for Redis. Several joined by ``;`` are tried in turn.

    Raises:
        ConfigError: The URL names another kind of broker, or cannot be read.
    """

    def __init__(self, url: str) -> None:
        check_url(url, "TINYQUEUE_BROKER_URL", BROKER_SCHEMES, is_list=True)
        self._url = url
        self._scheme = url.partition("://")[0]

    @property
    def kind(self) -> str:
        """``rabbitmq`` or ``redis``."""
        return "rabbitmq" if self._scheme in RABBITMQ_SCHEMES else "redis"

    @property
    def confirms(self) -> bool:
        """Whether the broker says that it has stored a message durably. Redis has it in memory."""
        return self.kind == "rabbitmq"

    @property
    def reports_no_route(self) -> bool:
        """Whether the broker knows of a learner. On Redis the publisher asks for its lease."""
        return self.kind == "rabbitmq"

    @property
    def masked_url(self) -> str:
        """For logs and errors: without passwords."""
        return masked(self._url)

    def connection(self, heartbeat_s: float = 0) -> Connection:
        """A connection that is not open yet. One per thread: they are not thread-safe."""
        if self.kind == "redis":
            options: dict[str, Any] = {
                "socket_timeout": CONNECT_S,
                "socket_connect_timeout": CONNECT_S,
                "socket_keepalive": True,
            }
        else:
            options = {"frame_handler": tolerant_frame_handler}
            if hasattr(socket, "TCP_USER_TIMEOUT"):
                options["socket_settings"] = {socket.TCP_USER_TIMEOUT: _USER_TIMEOUT_MS}
        try:
            return VerifiedConnection(
                self._url,
                heartbeat=heartbeat_s,
                connect_timeout=CONNECT_S,
                transport_options=options,
            )
        except (TypeError, KeyError) as error:
            raise ConfigError(
                f"TINYQUEUE_BROKER_URL = {self.masked_url!r} has something in its query that "
                f"kombu does not take ({error}). Remove it."
            ) from None

    def open(self, heartbeat_s: float = 0) -> Connection:
        """An open connection of which no answer takes longer than :data:`CONNECT_S`.

        Raises:
            ServiceUnreachableError: The broker does not answer, or refuses the login.
        """
        connection = self.connection(heartbeat_s)
        with self.preparing(connection):
            connection.ensure_connection(
                max_retries=max(0, len(connection.alt) - 1), interval_start=0, interval_step=0
            )
            if self.kind == "rabbitmq":
                # py-amqp waits for ever for an answer unless the socket itself does not.
                connection.connection.sock.settimeout(CONNECT_S)
        return connection

    @contextlib.contextmanager
    def preparing(self, connection: Connection) -> Iterator[None]:
        """Around the first words on a connection, which is dropped when they fail.

        Raises:
            ServiceUnreachableError: The broker did not do what it was asked for.
        """
        try:
            yield
        except self.errors(connection) as error:
            drop(connection)
            said = str(error) or type(error).__name__
            raise ServiceUnreachableError(
                f"the broker at {self.masked_url} cannot be used: {said}. "
                "Start it, or correct TINYQUEUE_BROKER_URL."
            ) from error
        except BaseException:
            drop(connection)
            raise

    def errors(self, connection: Connection) -> tuple[type[BaseException], ...]:
        """Everything that trouble with this broker may raise."""
        known = (*connection.connection_errors, *connection.channel_errors, OperationalError)
        # kombu counts KeyError among those of Redis, for a bug of its event loop.
        return tuple(kind for kind in known if kind is not KeyError)


def new_channel(connection: Connection) -> Any:
    """A channel of the transport's own class: its types are not kombu's."""
    return connection.channel()


def drop(connection: Connection) -> None:
    """Closes the socket without a word: a goodbye on a dead connection takes for ever."""
    try:
        connection.collect()
    except Exception as error:
        # Whatever state it was in, nothing of it is used again.
        log.debug("connection dropped", error=repr(error))
