"""The URLs that an operator is given are protected wherever they cross a network."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
from contextlib import nullcontext
from pathlib import Path

import pytest
from tls import Listener

from tinyqueue.settings import Settings, unprotected
from tinyqueue.urls import host_of, login_of

pytestmark = pytest.mark.integration

SCRIPTS = Path(__file__).parents[2] / "scripts"
HERE = ("localhost", "127.0.0.1", "localhost:15672", "127.0.0.1:7")
ELSEWHERE = ("broker.example", "10.1.2.3", "mq", "broker.example:7", "localhost.example")


def run(folder: Path, script: str, *arguments: str, **variables: str) -> tuple[str, str]:
    """What a script says on standard output and error."""
    (folder / "scripts").mkdir(exist_ok=True)
    shutil.copy(SCRIPTS / script, folder / "scripts")
    done = subprocess.run(
        ["sh", str(folder / "scripts" / script), *arguments],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout, done.stderr


def settings(folder: Path, role: str) -> Settings:
    store = "player" if role == "evaluator" else role
    return Settings(
        broker_url=(folder / "secrets" / f"{role}-broker-url").read_text(),
        redis_url=(folder / "secrets" / f"{store}-redis-url").read_text(),
    )


@pytest.mark.parametrize("redis", [*HERE, *ELSEWHERE, ""])
@pytest.mark.parametrize("rabbitmq", [*HERE, *ELSEWHERE])
def test_no_password_crosses_a_network_in_the_clear(
    tmp_path: Path, rabbitmq: str, redis: str
) -> None:
    said, _ = run(tmp_path, "make-secrets.sh", rabbitmq, *([redis] if redis else []))

    for role in ("learner", "player", "evaluator", "monitor"):
        made = settings(tmp_path, role)
        assert unprotected(made) == []
        assert login_of(made.broker) == role
        assert made.broker.startswith("amqps://") == (rabbitmq in ELSEWHERE)
        assert host_of(made.broker) == rabbitmq.partition(":")[0]
        assert host_of(made.redis) == (redis or rabbitmq).partition(":")[0]
    assert ("make-certificates.sh" in said) == bool({rabbitmq, redis or rabbitmq} & {*ELSEWHERE})


@pytest.mark.parametrize("host", ["::1", "fe80::1:5671", "[::1]", "a:b:c", "user@broker", "a b"])
@pytest.mark.parametrize("before", [[], ["broker.example"]])
def test_a_host_of_which_no_url_can_be_made_is_refused(
    tmp_path: Path, host: str, before: list[str]
) -> None:
    with pytest.raises(subprocess.CalledProcessError) as refused:
        run(tmp_path, "make-secrets.sh", *before, host)

    assert refused.value.returncode == 2
    assert f"{host} is neither a host name nor an IPv4 address" in refused.value.stderr
    assert not (tmp_path / "secrets").exists()


def test_passwords_stay_and_belong_to_their_role(tmp_path: Path) -> None:
    run(tmp_path, "make-secrets.sh")
    before = {file.name: file.read_text() for file in (tmp_path / "secrets").glob("*-password")}
    run(tmp_path, "make-secrets.sh", "broker.example")

    assert len(set(before.values())) == len(before) == 5
    assert all((tmp_path / "secrets" / name).read_text() == text for name, text in before.items())
    assert before["player-password"] in settings(tmp_path, "player").broker


def test_plain_urls_of_other_machines_are_made_loudly(tmp_path: Path) -> None:
    _, warned = run(tmp_path, "make-secrets.sh", "broker.example", PLAIN="1")

    assert "unprotected" in warned
    assert len(unprotected(settings(tmp_path, "player"))) == 2
    assert run(tmp_path, "make-secrets.sh", "localhost", PLAIN="1")[1] == ""


@pytest.mark.parametrize(
    ("host", "is_let_in"), [("localhost", True), ("127.0.0.1", True), ("other.example", False)]
)
def test_a_certificate_is_for_its_host(tmp_path: Path, host: str, is_let_in: bool) -> None:
    run(tmp_path, "make-certificates.sh", "localhost", "127.0.0.1")
    folder = tmp_path / "secrets" / "tls"
    shown = "localhost" if host == "other.example" else host
    context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    context.verify_flags |= ssl.VERIFY_X509_STRICT

    with (
        Listener((folder / f"{shown}.pem", folder / f"{shown}.key")) as listener,
        socket.create_connection(("127.0.0.1", listener.port)) as plain,
        nullcontext() if is_let_in else pytest.raises(ssl.SSLCertVerificationError),
    ):
        context.wrap_socket(plain, server_hostname=host).close()
    assert (folder / "ca.key").stat().st_mode & 0o077 == 0
