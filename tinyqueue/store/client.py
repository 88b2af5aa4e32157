"""A connection to Redis that answers or fails within seconds, with errors for an operator."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import redis
from redis.backoff import NoBackoff
from redis.connection import PythonRespSerializer
from redis.exceptions import (
    ConnectionError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    TimeoutError,
)
from redis.maint_notifications import MaintNotificationsConfig
from redis.retry import Retry

from tinyqueue.errors import ConfigError, ServiceUnreachableError
from tinyqueue.urls import STORE_SCHEMES, check_url, masked, verified_url

TIMEOUT_S = 5.0
"""The library's defaults may block for a minute on a host that swallows packets."""

_LARGE_BYTES = 6000
"""Values from this size on are sent without a copy; the library's own limit."""


def connect(url: str) -> redis.Redis:
    """A client for ``redis://``, ``rediss://`` or ``unix://``, whose server has just answered.

    Nothing is retried inside, since only the caller knows how long it can wait. The client may
    be shared by threads, and created before a fork.

    Raises:
        ConfigError: The URL is not a Redis URL, or cannot be read.
        ServiceUnreachableError: No answer within 5 s.
    """
    check_url(url, "TINYQUEUE_REDIS_URL", STORE_SCHEMES)
    try:
        client = redis.Redis.from_url(
            verified_url(url, "TINYQUEUE_REDIS_URL"),
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
            driver_info=None,
            maint_notifications_config=MaintNotificationsConfig(enabled=False),
        )
    except ValueError as error:
        raise ConfigError(
            f"TINYQUEUE_REDIS_URL = {masked(url)!r} cannot be used: {error}."
        ) from None
    _send_uncopied(client.connection_pool)
    try:
        client.ping()
    except redis.RedisError as error:
        client.close()
        raise ServiceUnreachableError(
            f"Redis at {masked(url)} does not answer ({error}). Start it with: "
            "docker compose up redis, or correct TINYQUEUE_REDIS_URL."
        ) from error
    return client


def _send_uncopied(pool: redis.ConnectionPool) -> None:
    """Makes new connections send large values without copying them.

    hiredis reads weights in a third of the time that the Python parser takes, but would copy
    them twice before sending: 20 ms instead of 7 for 6.7 MB.
    """
    packer = PythonRespSerializer(_LARGE_BYTES, pool.get_encoder().encode)
    pool.connection_kwargs["command_packer"] = packer


@contextmanager
def answering(client: redis.Redis) -> Iterator[None]:
    """Turns failures and refusals of Redis inside it into ServiceUnreachableError."""
    try:
        yield
    except (ConnectionError, TimeoutError) as error:
        raise ServiceUnreachableError(
            f"Redis at {address(client)} does not answer ({error}). Check that it runs; "
            "the request may or may not have been carried out."
        ) from error
    except (OutOfMemoryError, ReadOnlyError, NoPermissionError) as error:
        raise ServiceUnreachableError(
            f"Redis at {address(client)} refuses ({error}). Give it more memory, a writable "
            "primary, or this login the permissions of its role."
        ) from error


def read(client: redis.Redis, key: str) -> bytes | None:
    """The value of a key, or None; one GET.

    Raises:
        ServiceUnreachableError: Redis does not answer, or refuses.
    """
    with answering(client):
        value = client.get(key)
    if isinstance(value, str):
        raise TypeError("this client decodes responses; make it with connect()")
    return value


def address(client: redis.Redis) -> str:
    """The address that a client connects to, without login and password."""
    given = client.connection_pool.connection_kwargs
    if "path" in given:
        return str(given["path"])
    return f"{given.get('host', 'localhost')}:{given.get('port', 6379)}"
