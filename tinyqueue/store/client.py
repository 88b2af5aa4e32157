"""A connection to Redis that answers or fails within seconds, and errors an operator can read."""

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
"""The libraries' own defaults may block for a minute on a host that swallows packets."""

_LARGE_BYTES = 6000
"""What is sent as it lies; the library's own limit."""


def connect(url: str) -> redis.Redis:
    """A client for ``redis://``, ``rediss://`` or ``unix://`` that has just been answered.

    Nothing is retried inside: whoever calls knows how long it may wait. The client may be
    shared by threads, and made before a fork.

    Raises:
        ConfigError: The URL is not one of Redis, or cannot be read.
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
    """Makes new connections send large values from where they lie.

    hiredis reads weights in a third of the time that the Python parser takes, but would copy
    them twice before it sends them: 20 ms instead of 7 for 6.7 MB.
    """
    packer = PythonRespSerializer(_LARGE_BYTES, pool.get_encoder().encode)
    pool.connection_kwargs["command_packer"] = packer


@contextmanager
def answering(client: redis.Redis) -> Iterator[None]:
    """Turns what Redis cannot or will not do inside into ServiceUnreachableError."""
    try:
        yield
    except (ConnectionError, TimeoutError) as error:
        raise ServiceUnreachableError(
            f"Redis at {address(client)} does not answer ({error}). Check that it runs; "
            "what was asked may or may not have been done."
        ) from error
    except (OutOfMemoryError, ReadOnlyError, NoPermissionError) as error:
        raise ServiceUnreachableError(
            f"Redis at {address(client)} refuses ({error}). Give it more memory, a writable "
            "primary, or this login the permissions of its role."
        ) from error


def read(client: redis.Redis, key: str) -> bytes | None:
    """One GET. Raises ServiceUnreachableError."""
    with answering(client):
        value = client.get(key)
    if isinstance(value, str):
        raise TypeError("this client decodes responses; make it with connect()")
    return value


def address(client: redis.Redis) -> str:
    """Where a client connects to, without login and password."""
    given = client.connection_pool.connection_kwargs
    if "path" in given:
        return str(given["path"])
    return f"{given.get('host', 'localhost')}:{given.get('port', 6379)}"
