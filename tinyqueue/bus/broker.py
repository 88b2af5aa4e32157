"""The broker that a URL names, what it offers, and connections with bounded waits."""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Iterator
from typing import Any

import structlog
from kombu import Connection
from kombu.exceptions import OperationalError

from tinyqueue.bus.amqp_frames import tolerant_frame_handler
from tinyqueue.bus.tls import VerifiedConnection
from tinyqueue.connection_faults import ConnectionFault, TlsUse, fault_of_tls, plain
from tinyqueue.errors import ConfigError, ServiceUnreachableError
from tinyqueue.urls import BROKER_SCHEMES, RABBITMQ_SCHEMES, address_of, check_url, masked

CONNECT_S = 5.0
"""Bound on connecting, and on every answer of the broker after that."""
CONSUMER_HEARTBEAT_S = 4
"""RabbitMQ notices after two to three of these that a learner's connection has vanished, and gives
its messages to the next learner. The consumer's thread answers within a second, whatever training
does; if it cannot, as while a disk hangs for 8 s, it reconnects and nothing is lost."""
PUBLISHER_HEARTBEAT_S = 60
"""Publishers never send heartbeats. After two of these the broker closes an idle player's
connection, like that of a machine that has vanished, and the next publish reconnects."""
LOGIN_REFUSED = "Login was refused"
"""What RabbitMQ says of a wrong user or password, and of ``guest`` from another machine."""
_USER_TIMEOUT_MS = 10_000
"""py-amqp's default, 1,000, ends a connection at every short network hiccup."""

_REFUSALS = (
    (
        f"{LOGIN_REFUSED}|invalid username-password|Authentication required",
        "wrongpass",
        "Correct user or password in TINYQUEUE_BROKER_URL.",
    ),
    (
        "NOT_ALLOWED - .*(not found|refused for user)",
        "vhost",
        "Correct the virtual host, which follows host and port in TINYQUEUE_BROKER_URL, or give "
        "this login permissions there (scripts/rabbitmq-users.sh).",
    ),
    (
        "ACCESS_REFUSED",
        "noperm",
        "Give this login the permissions of its role (scripts/rabbitmq-users.sh).",
    ),
)
"""What RabbitMQ or Redis says, as a pattern; the kind of refusal; what to do. The first counts."""

log = structlog.get_logger(__name__)


class Broker:
    """A message broker, named by its URL. Holds no connection.

    Args:
        url: ``amqp://`` or ``amqps://`` for RabbitMQ; ``redis://``, ``rediss://`` or
            ``redis+socket://`` for Redis. Several, joined by ``;``, are tried in turn.

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
        """Whether the broker confirms durable storage of a message. Redis keeps it in memory."""
        return self.kind == "rabbitmq"

    @property
    def reports_no_route(self) -> bool:
        """Whether the broker reports that no learner exists. On Redis, check its lease instead."""
        return self.kind == "rabbitmq"

    @property
    def masked_url(self) -> str:
        """The URL without passwords, for logs and errors."""
        return masked(self._url)

    @property
    def address(self) -> str:
        """``host:port``, or the path of a socket, for messages."""
        return address_of(self._url)

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
                f"TINYQUEUE_BROKER_URL = {self.masked_url!r} has a query parameter that "
                f"kombu does not accept ({error}). Remove it."
            ) from None

    def open(self, heartbeat_s: float = 0) -> Connection:
        """An open connection that waits for no answer longer than :data:`CONNECT_S`.

        Raises:
            ServiceUnreachableError: The broker does not answer, or refuses the login.
        """
        connection = self.connection(heartbeat_s)
        with self.preparing(connection):
            connection.ensure_connection(
                max_retries=max(0, len(connection.alt) - 1), interval_start=0, interval_step=0
            )
            if self.kind == "rabbitmq":
                # py-amqp waits for an answer for ever unless the socket has a timeout.
                connection.connection.sock.settimeout(CONNECT_S)
        return connection

    def check(self) -> None:
        """Opens a connection and closes it.

        Raises:
            ServiceUnreachableError: The broker does not answer, or refuses the login.
        """
        drop(self.open())

    @contextlib.contextmanager
    def preparing(self, connection: Connection) -> Iterator[None]:
        """Wraps the first commands on a connection, which is dropped if they fail.

        Raises:
            ServiceUnreachableError: The broker did not do what it was asked.
        """
        try:
            yield
        except self.errors(connection) as error:
            drop(connection)
            kind, why, advice = fault_of(error, TlsUse.of_url(self._url))
            raise ServiceUnreachableError(
                f"the broker at {self.masked_url} cannot be used: {why}. {advice}", kind=kind
            ) from error
        except BaseException:
            drop(connection)
            raise

    def errors(self, connection: Connection) -> tuple[type[BaseException], ...]:
        """Every exception that trouble with this broker may raise."""
        known = (*connection.connection_errors, *connection.channel_errors, OperationalError)
        # kombu lists KeyError for Redis, because of a bug in its event loop.
        return tuple(kind for kind in known if kind is not KeyError)


def fault_of(error: BaseException, use: TlsUse) -> ConnectionFault:
    """Why a broker cannot be used, and what to do.

    Args:
        error: What kombu, py-amqp or redis-py raised.
        use: How the connection uses TLS.
    """
    if (fault := fault_of_tls(error, use, "TINYQUEUE_BROKER_URL")) is not None:
        return fault
    why = plain(error)
    for pattern, kind, advice in _REFUSALS:
        if re.search(pattern, why):
            return ConnectionFault(kind, why, advice)
    return ConnectionFault("unreachable", why, "Start it, or correct TINYQUEUE_BROKER_URL.")


def new_channel(connection: Connection) -> Any:
    """A channel of the transport's own class, which kombu's type stubs do not describe."""
    return connection.channel()


def drop(connection: Connection) -> None:
    """Closes the socket without a handshake, which would block for ever on a dead connection."""
    try:
        connection.collect()
    except Exception as error:
        # Whatever state it was in, it is not used again.
        log.debug("connection dropped", error=repr(error))
