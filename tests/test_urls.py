"""URLs of services: passwords that break them are refused unseen, TLS is checked."""

from __future__ import annotations

import os
import re
import string
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kombu.utils.url import parse_url
from redis.connection import parse_url as parse_redis_url

from tinyqueue.bus.broker import Broker
from tinyqueue.errors import ConfigError
from tinyqueue.settings import Settings
from tinyqueue.store.client import connect
from tinyqueue.urls import (
    BROKER_SCHEMES,
    STORE_SCHEMES,
    address_of,
    check_url,
    is_verified,
    masked,
    verified_url,
)

SPECIAL = "#/[]%@?;"
MARK = "Zq"
"""Around every password, so that a piece of it is found wherever it is shown."""
PASSWORDS = st.text(string.ascii_letters + string.digits + string.punctuation + " é", max_size=12)


def broken(password: str) -> bool:
    without = re.sub(r"%[0-9A-Fa-f]{2}", "", password)
    return any(character in without for character in "#/[]%@?; ")


def pieces(password: str) -> list[str]:
    """What must not be seen: every part between two characters that some parser splits at."""
    return [part for part in re.split(r"[#/\[\]%@?;:&= ]", password) if len(part) > 2]


@given(
    inner=PASSWORDS.filter(lambda p: broken(f"{p}9")),
    scheme=st.sampled_from(["amqp", "amqps", "redis", "rediss"]),
)
def test_a_password_that_breaks_a_broker_url_is_refused_and_no_part_of_it_shown(
    inner: str, scheme: str
) -> None:
    password = f"{MARK}4x{inner}9y{MARK}"

    with pytest.raises(ConfigError) as caught:
        Settings(broker_url=f"{scheme}://user:{password}@mq.example:5672//")

    said = str(caught.value)
    assert "TINYQUEUE_BROKER_URL" in said
    assert MARK not in said
    assert not [piece for piece in pieces(password) if piece in said]
    advised = re.search(r"write (%[0-9A-F]{2})", said)
    assert advised is None or quote(inner, safe="").find(advised[1]) >= 0


@given(inner=PASSWORDS.filter(lambda p: broken(f"{p}9".replace(";", ""))))
def test_a_password_that_breaks_a_store_url_is_refused_and_no_part_of_it_shown(inner: str) -> None:
    password = f"{MARK}4x{inner}9y{MARK}"

    for refuse in (
        lambda url: Settings(redis_url=url),
        connect,
    ):
        with pytest.raises(ConfigError) as caught:
            refuse(f"redis://:{password}@store.example:6379/0")
        assert MARK not in str(caught.value)


@given(password=PASSWORDS.filter(bool))
def test_an_escaped_password_arrives_as_it_was(password: str) -> None:
    login = f"user:{quote(password, safe='')}@host.example"

    settings = Settings(
        broker_url=f"amqp://{login}:5672//",
        redis_url=f"redis://{login}:6379/0",
    )

    assert parse_url(settings.broker)["password"] == password
    assert parse_redis_url(settings.redis)["password"] == password
    assert Broker(settings.broker).connection().password == password


@given(
    password=st.text(string.printable, max_size=20).filter(lambda p: "://" not in p),
    form=st.sampled_from(
        [
            "amqp://user:{}@mq.example:5672//",
            "redis://:{}@store.example/0",
            "amqp://a:b@h1//;amqp://user:{}@h2//",
            "amqp://user:{}",
            "redis://h:6379/0?db=1&password={}",
        ]
    ),
)
def test_no_form_of_url_is_shown_with_its_password(password: str, form: str) -> None:
    whole = f"{MARK}{password}{MARK}"
    if "password=" in form:
        whole = whole.replace("&", "").replace(";", "")
    if form.endswith(":{}"):
        # Nobody can tell what follows an @ there from a host.
        whole = whole.replace("@", "")

    assert MARK not in masked(form.format(whole))


@pytest.mark.parametrize(("character", "escaped"), [(c, quote(c, safe="")) for c in SPECIAL])
def test_the_character_and_how_to_write_it_are_said(character: str, escaped: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_url(
            f"amqp://u:hu{character}sh@mq:5672//",
            "TINYQUEUE_BROKER_URL",
            BROKER_SCHEMES,
            is_list=True,
        )

    assert f"has a {character} that is not escaped" in str(caught.value)
    assert f"write {escaped} instead" in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "amqp://guest:guest@localhost:5672//",
        "amqp://guest:guest@localhost:5672/%2F",
        "amqps://rack%203:p:w!$&'()*+,=~@[::1]:5671/tq?heartbeat=30",
        "amqp://a:b@h1//;amqps://c:d@h2/vh",
        "redis+socket:///tmp/a@b/redis.sock?virtual_host=1",
        "redis://localhost",
        "rediss://:p%40w@h:6380/0?ssl_ca_certs=/etc/ca.pem",
    ],
)
def test_what_every_library_can_read_is_taken(url: str) -> None:
    check_url(url, "TINYQUEUE_BROKER_URL", BROKER_SCHEMES, is_list=True)


def test_a_file_of_a_socket_may_be_called_anything_that_can_be_read() -> None:
    check_url("unix:///run/a@b/redis.sock?db=2", "TINYQUEUE_REDIS_URL", STORE_SCHEMES)


@pytest.mark.integration
@pytest.mark.parametrize("program", ["celery", "tinyqueue"])
def test_a_terminal_shows_the_sentence_and_no_part_of_the_password(
    program: str, tmp_path: Path
) -> None:
    command = {
        "celery": ["celery", "-A", "tinyqueue", "worker", "-c", "1"],
        "tinyqueue": ["tinyqueue.cli.main", "learner", "status"],
    }[program]
    secret = tmp_path / "url"
    secret.write_text("amqp://user:Zq12#34Zq@mq.example//")

    done = subprocess.run(
        [sys.executable, "-m", *command],
        env={**os.environ, "TINYQUEUE_BROKER_URL_FILE": str(secret)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    said = done.stdout + done.stderr
    assert done.returncode != 0
    assert "has a # that is not escaped" in said
    assert "Zq" not in said


def test_options_of_tls_are_spelt_as_every_library_reads_them(tmp_path: Path) -> None:
    authority = tmp_path / "ca@home.pem"
    authority.touch()

    url = verified_url(
        "amqps://h1//?ssl_cert_reqs=CERT_REQUIRED;rediss://h2/0?ssl_check_hostname=No",
        "TINYQUEUE_BROKER_URL",
        str(authority),
    )

    first, second = url.split(";")
    encoded = quote(str(authority), safe="")
    assert first == f"amqps://h1//?ssl_cert_reqs=required&ssl_ca_certs={encoded}"
    assert second == f"rediss://h2/0?ssl_check_hostname=false&ssl_ca_certs={encoded}"
    assert is_verified(first)
    assert not is_verified(second)
    assert not is_verified("amqps://h//?ssl_cert_reqs=none")
    assert verified_url("amqps://h//", "X") == "amqps://h//"
    assert verified_url("redis://h/0", "X", str(authority)) == "redis://h/0"


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("ssl_ca_cert=/x", "known: ssl_ca_certs"),
        (
            "ssl_ca_certs=/nowhere/ca.pem",
            "/nowhere/ca.pem, which is not a readable file",
        ),
        ("ssl_cert_reqs=maybe", "ssl_cert_reqs=maybe; use required or none"),
    ],
)
def test_options_of_tls_that_mean_nothing_are_refused(query: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        verified_url(f"amqps://h//?{query}", "TINYQUEUE_BROKER_URL")


def test_a_query_that_no_library_takes_is_said() -> None:
    with pytest.raises(ConfigError, match="a query parameter"):
        Broker("amqp://h//?colour=red").connection()


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("amqp://user:p%40ss@rack-1:5673/vhost?heartbeat=4", "rack-1:5673"),
        ("amqps://user:secret@rack-1", "rack-1:5671"),
        ("amqp://", "localhost:5672"),
        ("rediss://:secret@[::1]/0", "[::1]:6379"),
        ("redis+socket:///tmp/a%20b/redis.sock?virtual_host=1", "/tmp/a b/redis.sock"),
        ("amqp://u:p@one;amqp://u:p;q@two:9", "one:5672 or two:9"),
    ],
)
def test_an_address_has_host_and_port_and_no_login(url: str, address: str) -> None:
    assert address_of(url) == address
