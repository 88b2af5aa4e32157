"""A connection to Redis that answers or fails within seconds, with errors for an operator."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import redis
from redis.backoff import NoBackoff
from redis.connection import PythonRespSerializer
from redis.exceptions import RedisClusterException, ResponseError
from redis.maint_notifications import MaintNotificationsConfig
from redis.retry import Retry

from tinyqueue.connection_faults import (
    CERTIFICATE,
    TlsUse,
    fault_of_certificate,
    fault_of_tls,
    plain,
)
from tinyqueue.errors import ConfigError, ServiceUnreachableError
from tinyqueue.urls import STORE_SCHEMES, check_url, masked, verified_url

FAILURES = (redis.RedisError, RedisClusterException, OSError, ValueError, IndexError)
"""Everything that a server, or the way to it, can make a command raise. The last two are the
library's for an answer that it cannot take apart."""

TIMEOUT_S = 5.0
"""The library's defaults may block for a minute on a host that swallows packets."""

_LARGE_BYTES = 6000
"""Values from this size on are sent without a copy; the library's own limit."""

_ADVICE = {
    "oom": "Give it more memory (maxmemory).",
    "readonly": "Name a writable primary in TINYQUEUE_REDIS_URL.",
    "noperm": "Use a login of a role that may do this, with the permissions of that role.",
    "noauth": "Correct the login in TINYQUEUE_REDIS_URL, or the server's access rules.",
    "wrongpass": "Correct the login in TINYQUEUE_REDIS_URL, or the server's access rules.",
    "busy": "Another client's script keeps it from answering: end it with SCRIPT KILL.",
    "loading": "It reads its data from disk, and answers once it has done so.",
    "maxclients": "Let it have more (maxclients), or end some that need no connection.",
    "misconf": "It cannot write its data to disk; its log says why.",
}
"""Kind of refusal → what to do."""


def connect(url: str) -> redis.Redis:
    """A client for ``redis://``, ``rediss://`` or ``unix://``, whose server has just answered.

    Nothing is retried inside, since only the caller knows how long it can wait. The client may
    be shared by threads, and created before a fork.

    Raises:
        ConfigError: The URL is not a Redis URL, or cannot be read.
        ServiceUnreachableError: No answer within 5 s, or a refusal.
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
    except FAILURES as error:
        client.close()
        advice = "Start it with: docker compose up redis, or correct TINYQUEUE_REDIS_URL."
        server = f"Redis at {masked(url)}"
        raise _unreachable(error, client, server, advice, is_first=True) from error
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
    """Turns every failure of Redis inside it into ServiceUnreachableError: try again later.

    None of them says anything about the caller. A server that is busy with a script, loads its
    data, has become a replica or wants another password is well again at some time.
    """
    try:
        yield
    except FAILURES as error:
        advice = "Check that it runs; the request may or may not have been carried out."
        raise _unreachable(error, client, f"Redis at {address(client)}", advice) from error


def misread(client: redis.Redis, answer: object) -> ServiceUnreachableError:
    """The error for an answer that no script gives."""
    return ServiceUnreachableError(
        f"Redis at {address(client)} gave an answer to something else ({repr(answer)[:60]}). Is "
        "there a proxy in between that mixes up connections?",
        kind="protocol",
    )


def _unreachable(
    error: BaseException, client: redis.Redis, server: str, advice: str, *, is_first: bool = False
) -> ServiceUnreachableError:
    """The error for an operator.

    Args:
        error: What the library raised.
        client: The client.
        server: The server, by its address.
        advice: What to do about a server that is away.
        is_first: Whether nothing has reached the server before.
    """
    kind, why, does = _kind(error), plain(error), "does not answer"
    given = client.connection_pool.connection_kwargs
    is_tls = issubclass(client.connection_pool.connection_class, redis.SSLConnection)
    use = TlsUse(is_tls, str(given.get("ssl_ca_certs") or ""))
    find = fault_of_tls if is_first else fault_of_certificate
    if _is_refusal(error):
        does, advice = "refuses", _ADVICE.get(kind, "It will be asked again.")
    elif (fault := find(error, use, "TINYQUEUE_REDIS_URL")) is not None:
        kind, why, advice = fault
        if kind == CERTIFICATE:
            does = "is not trusted"
    return ServiceUnreachableError(f"{server} {does} ({why}). {advice}", kind=kind)


def _is_refusal(error: BaseException) -> bool:
    return isinstance(error, ResponseError) or _kind(error) in _ADVICE


def _kind(error: BaseException) -> str:
    """The server's own word for an error, in small letters, else the name of its class."""
    # In a pipeline the library puts "Command # 1 (…) of pipeline caused error: " before it.
    said = str(error).rpartition("caused error: ")[2]
    if "max number of clients" in said:
        return "maxclients"
    code = getattr(error, "status_code", None) or said.partition(" ")[0]
    if isinstance(error, redis.RedisError) and re.fullmatch("[A-Z]{3,24}", str(code)):
        return str(code).lower()
    return type(error).__name__


def read(client: redis.Redis, key: str) -> bytes | None:
    """The value of a key, or None; one GET.

    Raises:
        ServiceUnreachableError: Redis does not answer, or refuses.
    """
    with answering(client):
        value = client.get(key)
    if isinstance(value, str):
        raise TypeError("this client decodes responses; make it with connect()")
    if value is not None and not isinstance(value, bytes):
        raise misread(client, value)
    return value


def address(client: redis.Redis) -> str:
    """The address that a client connects to, without login and password."""
    given = client.connection_pool.connection_kwargs
    if "path" in given:
        return str(given["path"])
    return f"{given.get('host', 'localhost')}:{given.get('port', 6379)}"
