"""kombu connections that verify a broker's certificate and its host name.

kombu passes TLS options on unchanged. py-amqp then checks no host name, redis-py checks
nothing at all, and at a failover the next host is compared with the name of the first, or
with none: the login went to whoever answered.
"""

from __future__ import annotations

import ssl
from typing import Any

from celery.app.amqp import AMQP
from kombu import Connection
from kombu.connection import ConnectionPool, PooledConnection
from kombu.utils.collections import HashedSeq

_AMQP_OPTIONS = ("ca_certs", "certfile", "keyfile", "ciphers")


class VerifiedConnection(Connection):
    """A connection on which every host must present a certificate of its own.

    TLS is on by the URL's scheme or by ``ssl``. A URL's query can turn off a check for its host
    by ``ssl_cert_reqs=none`` or ``ssl_check_hostname=false``. On Redis it has the transport of
    :mod:`tinyqueue.bus.redis_acks`.
    """

    _initial_params: dict[str, Any]
    """An attribute of kombu's that its stubs leave out."""

    def Pool(  # noqa: N802  # kombu names it so
        self, limit: int | None = None, **options: Any
    ) -> ConnectionPool:
        """A pool of verified connections; kombu's own pool holds plain ones."""
        return _VerifiedPool(self, limit, **options)

    def get_transport_cls(self) -> type[Any]:
        """Called by kombu for its transport."""
        kind: type[Any] = super().get_transport_cls()
        if kind.driver_type != "redis":
            return kind
        # Imports redis-py, which a worker on RabbitMQ does without until it plays.
        from tinyqueue.bus.redis_acks import crediting

        return crediting(kind)

    def switch(self, conn_str: str) -> None:
        """Moves to another host's URL at a failover, with the TLS options of that URL only."""
        if conn_str.startswith(("amqps://", "rediss://")):
            # Options of the first host, such as "no check", do not apply to this one.
            self._initial_params["ssl"] = False
        super().switch(conn_str)

    def _init_params(self, **params: Any) -> None:  # type: ignore[override]  # kombu gives names
        """Called by kombu for the first host and at each failover."""
        self._asked = params["ssl"]
        kind = params["transport"] or "amqp"
        if kind in ("amqps", "rediss") or self._asked:
            made = _for_redis if kind.startswith("redis") else _for_amqp
            params["ssl"] = made(_plain(self._asked), params["hostname"])
        super()._init_params(**params)

    def __eqhash__(self) -> Any:
        """Keeps connections that differ in what they check from sharing a pool."""
        parent: Any = super().__eqhash__()
        return HashedSeq(*parent, repr(self.ssl))

    def _info(self, resolve: bool = True) -> Any:
        """For clones, which derive their own options from the original ones."""
        info: Any = super()._info(resolve)
        return tuple((key, self._asked if key == "ssl" else value) for key, value in info)

    def _establish_connection(self) -> Any:
        host = self.hostname
        try:
            return super()._establish_connection()
        finally:
            # kombu writes 127.0.0.1 for localhost, which certificates do not name.
            self.hostname = host


class _PooledConnection(PooledConnection, VerifiedConnection):  # type: ignore[misc]
    """One of a pool."""


class _VerifiedPool(ConnectionPool):
    def new(self) -> _PooledConnection:
        return _PooledConnection(self, **dict(self.connection._info(resolve=False)))


class VerifiedAmqp(AMQP):
    """Makes Celery's connections verified: those of worker, pool, remote control and Flower."""

    Connection = VerifiedConnection
    BrokerConnection = VerifiedConnection


def _plain(given: object) -> dict[str, Any]:
    """Options under their names in Python's ``ssl``, however they were spelt."""
    options = given if isinstance(given, dict) else {}
    plain = {key.removeprefix("ssl_"): value for key, value in options.items()}
    wanted = plain.get("cert_reqs", ssl.CERT_REQUIRED)
    if isinstance(wanted, str):
        wanted = ssl.VerifyMode[f"CERT_{wanted.upper().removeprefix('CERT_')}"]
    plain["cert_reqs"] = wanted or ssl.CERT_NONE
    plain["check_hostname"] = (
        plain["cert_reqs"] != ssl.CERT_NONE and plain.get("check_hostname") is not False
    )
    return plain


def _for_amqp(plain: dict[str, Any], host: str | None) -> dict[str, Any]:
    made = {key: plain[key] for key in _AMQP_OPTIONS if plain.get(key) is not None}
    made["cert_reqs"] = plain["cert_reqs"]
    if plain["check_hostname"]:
        # py-amqp checks the host name only if it is given one.
        made["server_hostname"] = host or "localhost"
    return made


def _for_redis(plain: dict[str, Any], host: str | None) -> dict[str, Any]:
    made = {f"ssl_{key}": value for key, value in plain.items() if key in _AMQP_OPTIONS}
    return made | {
        "ssl_cert_reqs": plain["cert_reqs"],
        "ssl_check_hostname": plain["check_hostname"],
    }
