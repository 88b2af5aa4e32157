"""Given what a library raises, a person reads why the connection failed and what to do."""

from __future__ import annotations

import ssl

import pytest

from tinyqueue.bus.broker import fault_of
from tinyqueue.connection_faults import CERTIFICATE, TlsUse, fault_of_certificate, fault_of_tls

TLS, PLAIN = TlsUse(is_on=True, authorities="/etc/ca.pem"), TlsUse(is_on=False)
NAME = "TINYQUEUE_REDIS_URL"


def certificate_error(number: int, message: str) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, f"certificate verify failed: {message} (_ssl.c:1006)")
    error.verify_code, error.verify_message = number, message
    return error


def wrapped(error: BaseException) -> OSError:
    """As the libraries do."""
    outer = OSError(f"Error 1 connecting to a.example:6380. {error}.")
    outer.__cause__ = error
    return outer


@pytest.mark.parametrize(
    ("number", "message", "why", "advice"),
    [
        (62, "Hostname mismatch, not valid for 'a.example'.", "is not for a.example", "Use a name"),
        (64, "IP address mismatch, not valid for '10.0.0.1'.", "is not for 10.0.0.1", NAME),
        (20, "unable to get local issuer", "an authority in /etc/ca.pem", "TLS_CA_CERTS"),
        (19, "self-signed certificate in chain", "an authority in /etc/ca.pem", "TLS_CA_CERTS"),
        (10, "certificate has expired", "has expired", "Make it a new one"),
        (9, "certificate is not yet valid", "is not valid yet", "clock"),
        (23, "certificate revoked", "certificate revoked", "Make it a new one"),
    ],
)
def test_a_certificate_is_said_to_be_wrong_in_its_own_way(
    number: int, message: str, why: str, advice: str
) -> None:
    fault = fault_of_certificate(wrapped(certificate_error(number, message)), TLS, NAME)

    assert fault is not None
    assert fault.kind == CERTIFICATE
    assert why in fault.why
    assert advice in fault.advice
    assert "_ssl.c" not in fault.why


def test_without_a_file_of_authorities_the_systems_are_named() -> None:
    error = certificate_error(20, "unable to get local issuer certificate")

    fault = fault_of_certificate(error, TlsUse(is_on=True), NAME)

    assert fault is not None
    assert fault.why.endswith("not signed by one of the system's authorities")


@pytest.mark.parametrize(
    ("use", "error", "asks"),
    [
        (TLS, ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version"), "speak TLS?"),
        (TLS, ConnectionResetError(104, "Connection reset by peer"), "speak TLS?"),
        (PLAIN, ConnectionResetError(104, "Connection reset by peer"), "speak TLS only"),
        (PLAIN, OSError("Server unexpectedly closed connection"), "speak TLS only"),
    ],
)
def test_a_connection_that_is_cut_off_at_its_start_may_be_tls_against_plain(
    use: TlsUse, error: OSError, asks: str
) -> None:
    fault = fault_of_tls(wrapped(error), use, NAME)

    assert fault is not None
    assert asks in fault.advice
    assert NAME in fault.advice
    # Later it says only that the server has gone.
    assert fault_of_certificate(wrapped(error), use, NAME) is None


def test_a_server_that_is_not_there_is_no_fault_of_tls() -> None:
    assert fault_of_tls(wrapped(ConnectionRefusedError(111, "refused")), TLS, NAME) is None


LOGIN = "(0, 0): (403) ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN."


@pytest.mark.parametrize(
    ("said", "kind", "why", "advice"),
    [
        (LOGIN, "wrongpass", LOGIN[8:-1], "Correct user or password"),
        ("invalid username-password pair.", "wrongpass", "invalid username-password pair", "user"),
        (
            "Connection.open: (530) NOT_ALLOWED - vhost nope not found",
            "vhost",
            "(530) NOT_ALLOWED - vhost nope not found",
            "virtual host",
        ),
        (
            "Exchange.declare: (403) ACCESS_REFUSED - access to exchange 'experience' refused",
            "noperm",
            "(403) ACCESS_REFUSED - access to exchange 'experience' refused",
            "permissions of its role",
        ),
        (
            "[Errno 111] refused",
            "unreachable",
            "[Errno 111] refused",
            "Start it",
        ),
        ("", "unreachable", "OSError", "Start it"),
    ],
)
def test_what_a_broker_refuses_is_told_from_a_broker_that_is_away(
    said: str, kind: str, why: str, advice: str
) -> None:
    fault = fault_of(OSError(said) if said else OSError(), PLAIN)

    assert (fault.kind, fault.why) == (kind, why)
    assert advice in fault.advice
    assert ("Start it" in fault.advice) == (kind == "unreachable")


def test_the_use_of_tls_is_that_of_the_urls() -> None:
    one, two = "amqps://u:p@a//?ssl_ca_certs=/a.pem", "amqps://u:p@b//?ssl_ca_certs=/b.pem"

    assert TlsUse.of_url(one) == TlsUse(True, "/a.pem")
    assert TlsUse.of_url(f"{one};{two};{one}") == TlsUse(True, "/a.pem or /b.pem")
    assert TlsUse.of_url("redis://h/0") == TlsUse(False, "")
    assert TlsUse.of_url("rediss://h/0") == TlsUse(True, "")
