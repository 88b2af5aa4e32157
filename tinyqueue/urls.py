"""URLs of brokers and stores: checked, normalised for every library, and masked for logs."""

from __future__ import annotations

import os
import re
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from tinyqueue.errors import ConfigError

RABBITMQ_SCHEMES = ("amqp", "amqps", "pyamqp")
BROKER_SCHEMES = (*RABBITMQ_SCHEMES, "redis", "rediss", "redis+socket")
STORE_SCHEMES = ("redis", "rediss", "unix")
SOCKET_SCHEMES = ("redis+socket", "unix")
TLS_SCHEMES = ("amqps", "rediss")
_PORTS = {"amqp": 5672, "amqps": 5671, "pyamqp": 5672, "redis": 6379, "rediss": 6379}
TLS_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
"""TLS options of a URL's query that name files in PEM format."""
_TLS_OPTIONS = (*TLS_FILES, "ssl_cert_reqs", "ssl_check_hostname", "ssl_ciphers")
_FALSE = ("0", "f", "false", "n", "no")

_ESCAPE = (
    "python -c \"from urllib.parse import quote; print(quote(input('password: '), safe=''))\" "
    "prints a password as it must be written"
)
_NEXT_URL = re.compile(r";(?=[A-Za-z][\w+.-]*://)")
_QUERY_PASSWORD = re.compile(r"([?&]password=)(?:(?!&\w+=|;\w[\w+.-]*://).)*", re.DOTALL)
_PORT = re.compile(r"(\[[^\]]*\]|[^:\[\]]*)(:\d*)?")
_ESCAPED = re.compile(r"%[0-9A-Fa-f]{2}")


def masked(url: str) -> str:
    """The URL, or several joined by ``;``, without any password, for logs and errors.

    It does not parse the URL: a password with an unescaped ``/`` or ``#`` makes parsing fail, and
    that is when the URL is shown.
    """
    return ";".join(_masked(part) for part in _NEXT_URL.split(url))


def check_url(url: str, name: str, schemes: tuple[str, ...], *, is_list: bool = False) -> None:
    """Refuses a URL that a library would misread or could not read.

    Args:
        url: The URL as the user wrote it.
        name: The environment variable that holds it.
        schemes: The schemes that are allowed.
        is_list: Whether several may be joined by ``;``.

    Raises:
        ConfigError: It is refused; the text names the character to escape, and no part of the
            password.
    """
    parts = url.split(";") if is_list else [url]
    if not all("://" in part for part in parts[1:]):
        raise _unescaped(name, url, ";")
    for part in parts:
        scheme, separator, rest = part.partition("://")
        if scheme not in schemes:
            known = separator and re.fullmatch(r"[A-Za-z][\w+.-]*", scheme)
            shown = repr(scheme) if known else "something else"
            raise ConfigError(
                f"{name} begins with {shown}; it must be one of {', '.join(schemes)}."
            )
        _check_characters(rest, name, url)
        _check_port(rest, name, url)


def verified_url(url: str, name: str, ca_certs: str = "") -> str:
    """The URL, or several joined by ``;``, with TLS options that every library reads alike.

    kombu and redis-py spell them differently. Certificate and host name are checked unless a query
    has ``ssl_cert_reqs=none`` or ``ssl_check_hostname=false``.

    Args:
        url: The URL.
        name: The environment variable that holds it, for errors.
        ca_certs: PEM file of the authorities for URLs that name none; the system's if empty.

    Raises:
        ConfigError: A TLS option does not exist, or a file cannot be read.
    """
    return ";".join(_verified(part, name, ca_certs) for part in _NEXT_URL.split(url))


def is_verified(url: str) -> bool:
    """Whether a URL from :func:`verified_url` has both certificate and host name checked."""
    query = dict(parse_qsl(url.partition("?")[2]))
    return "none" not in query.get("ssl_cert_reqs", "") and (
        query.get("ssl_check_hostname") != "false"
    )


def login_of(url: str) -> str:
    """The user in a URL, or in the first of several; empty if there is none."""
    return unquote(urlsplit(url.split(";")[0]).username or "")


def host_of(url: str) -> str:
    """The host of one URL; ``localhost`` if it names none."""
    return urlsplit(url).hostname or "localhost"


def address_of(url: str) -> str:
    """``host:port`` of the server that a URL names, or the path of its socket; of all, if several.

    Only for a URL that :func:`check_url` has let through.
    """
    return " or ".join(_address(part) for part in _NEXT_URL.split(url))


def _address(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme in SOCKET_SCHEMES:
        return unquote(parts.path)
    host = parts.hostname or "localhost"
    port = parts.port or _PORTS[parts.scheme]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _masked(url: str) -> str:
    url = _QUERY_PASSWORD.sub(r"\1***", url)
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url
    login, at, place = rest.rpartition("@")
    if at:
        user, colon, _ = login.partition(":")
        rest = f"{user}{colon and ':***'}@{place}"
    else:
        authority = re.split(r"[/?#;]", rest, maxsplit=1)[0]
        if not _PORT.fullmatch(authority):
            # No port: somebody left out the host, or cut the URL short.
            rest = f"{authority.partition(':')[0]}:***"
    return f"{scheme}://{rest}"


def _check_characters(rest: str, name: str, url: str) -> None:
    """``rest`` follows ``://``. The part before its only ``@`` is user and password."""
    if rest.count("@") > 1:
        raise _unescaped(name, url, "@")
    login = rest.rpartition("@")[0]
    if rest.startswith("/"):
        # A socket's path, where only the two characters below mean something.
        login = ""
    for character in login:
        if character in "/?#[]" or character.isspace() or not character.isprintable():
            raise _unescaped(name, url, character)
    if "#" in rest:
        raise _unescaped(name, url, "#")
    if "%" in _ESCAPED.sub("", rest):
        raise _unescaped(name, url, "%")


def _check_port(rest: str, name: str, url: str) -> None:
    authority = re.split(r"[/?]", rest.rpartition("@")[2], maxsplit=1)[0]
    match = _PORT.fullmatch(authority)
    if match is None or int((match[2] or ":0")[1:] or 0) > 65535:
        raise ConfigError(
            f"{name} = {masked(url)!r} has no host and port where they belong: use "
            f"SCHEME://USER:PASSWORD@HOST:PORT/. {_ESCAPE}."
        )


def _unescaped(name: str, url: str, character: str) -> ConfigError:
    shown = repr(character)[1:-1] if character != " " else "space"
    return ConfigError(
        f"{name} = {masked(url)!r} has a {shown} that is not escaped: in a user name or password "
        f"write {quote(character, safe='')} instead of it. {_ESCAPE}."
    )


def _verified(url: str, name: str, ca_certs: str) -> str:
    base, _, query = url.partition("?")
    if base.partition("://")[0] not in TLS_SCHEMES:
        return url
    given = dict(parse_qsl(query, keep_blank_values=True))
    unknown = sorted(key for key in given if key.startswith("ssl_") and key not in _TLS_OPTIONS)
    if unknown:
        raise ConfigError(
            f"{name} has {unknown[0]} in its query, which is not a TLS option here; "
            f"known: {', '.join(_TLS_OPTIONS)}."
        )
    if ca_certs:
        given.setdefault("ssl_ca_certs", ca_certs)
    for option in TLS_FILES:
        if option in given and not os.access(given[option], os.R_OK):
            raise ConfigError(
                f"{name} has {option}={given[option]}, which is not a readable file here. "
                "Correct the path or its permissions."
            )
    if "ssl_cert_reqs" in given:
        given["ssl_cert_reqs"] = wanted = given["ssl_cert_reqs"].lower().removeprefix("cert_")
        if wanted not in ("required", "optional", "none"):
            raise ConfigError(f"{name} has ssl_cert_reqs={wanted}; use required or none.")
    if "ssl_check_hostname" in given:
        given["ssl_check_hostname"] = str(given["ssl_check_hostname"].lower() not in _FALSE).lower()
    return f"{base}?{urlencode(given)}" if given else url
