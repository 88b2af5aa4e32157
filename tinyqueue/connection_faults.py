"""Why a connection to a broker or store failed, and what to do: the same words for both."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import parse_qsl

from tinyqueue.urls import TLS_SCHEMES

CERTIFICATE = "certificate"
"""Kind of every failure to verify a server's certificate: waiting does not mend it."""
REFUSED = ("wrongpass", "noauth", "noperm", CERTIFICATE)
"""Kinds of trouble with a service that waiting does not mend: a wrong password, a missing
permission, a certificate that cannot be verified."""

_OTHER_NAME = (62, 64)
_UNKNOWN_AUTHORITY = (18, 19, 20, 21)
_NOT_YET_VALID, _EXPIRED = 9, 10
"""Numbers of OpenSSL (X509_V_ERR_…)."""

_SITE = re.compile(r"^(\(\d+, \d+\)|[A-Za-z.]+): (?=\(\d+\) )|\s*\(_ssl\.c:\d+\)")
_CLOSED = re.compile(r"closed (the )?connection|connection closed", re.IGNORECASE)


class ConnectionFault(NamedTuple):
    """What a person should know of a connection that could not be made.

    Attributes:
        kind: What went wrong, in one word that is the same for every fault of that kind.
        why: What the server or the library says, without a full stop.
        advice: What to do: one or more sentences.
    """

    kind: str
    why: str
    advice: str


class TlsUse(NamedTuple):
    """How a client uses TLS.

    Attributes:
        is_on: Whether it speaks TLS.
        authorities: PEM file of the authorities that it trusts; the system's if empty.
    """

    is_on: bool
    authorities: str = ""

    @classmethod
    def of_url(cls, url: str) -> TlsUse:
        """How the client of a URL, or of several joined by ``;``, uses TLS."""
        queries = [dict(parse_qsl(part.partition("?")[2])) for part in url.split(";")]
        files = dict.fromkeys(query.get("ssl_ca_certs", "") for query in queries)
        return cls(url.partition("://")[0] in TLS_SCHEMES, " or ".join(filter(None, files)))


def fault_of_certificate(error: BaseException, use: TlsUse, name: str) -> ConnectionFault | None:
    """The fault behind an error, if it is that a server's certificate cannot be verified.

    Args:
        error: What the library raised, with its causes.
        use: How the client uses TLS.
        name: The environment variable that holds the URL.
    """
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return _certificate(cause, use.authorities, name)
    return None


def fault_of_tls(error: BaseException, use: TlsUse, name: str) -> ConnectionFault | None:
    """The same, or that one side may speak TLS and the other not; for the start of a connection."""
    fault = fault_of_certificate(error, use, name)
    if fault is not None or not any(map(_is_cut_off, _causes(error))):
        return fault
    asks = (
        "Does that port speak TLS? If it does, look into the server's log; if not, correct"
        if use.is_on
        else "Does that port speak TLS only (amqps://, rediss://)? If not, start it, or correct"
    )
    return ConnectionFault("cut-off", plain(error), f"{asks} {name}.")


def plain(error: BaseException) -> str:
    """What an error says, without where in a library it was raised and without a full stop."""
    return _SITE.sub("", str(error)).strip().rstrip(".") or type(error).__name__


def _certificate(
    error: ssl.SSLCertVerificationError, authorities: str, name: str
) -> ConnectionFault:
    number, told = getattr(error, "verify_code", 0), getattr(error, "verify_message", "")
    if number in _OTHER_NAME:
        host = re.search(r"'([^']*)'", told)
        why = f"its certificate is not for {host[1] if host else 'this host'}"
        advice = (
            f"Use a name in its certificate in {name}, or make it one for this name "
            "(scripts/make-certificates.sh)."
        )
    elif number in _UNKNOWN_AUTHORITY:
        trusted = f"an authority in {authorities}" if authorities else "one of the system's"
        why = f"its certificate is not signed by {trusted}"
        if not authorities:
            why += " authorities"
        advice = "Name the file of the authority that signed it in TINYQUEUE_TLS_CA_CERTS."
    elif number in (_NOT_YET_VALID, _EXPIRED):
        why = "its certificate " + ("has expired" if number == _EXPIRED else "is not valid yet")
        advice = (
            "Make it a new one (scripts/make-certificates.sh), or correct this machine's clock."
        )
    else:
        why = f"its certificate cannot be verified: {told or plain(error)}"
        advice = "Make it a new one (scripts/make-certificates.sh)."
    return ConnectionFault(CERTIFICATE, why, advice)


def _is_cut_off(error: BaseException) -> bool:
    """Whether the other side ended the connection, or answered in another language."""
    return isinstance(error, ssl.SSLError | ConnectionResetError | BrokenPipeError) or (
        isinstance(error, OSError) and bool(_CLOSED.search(str(error)))
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
