"""The health check of players and learner, on this process and a listening socket."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

ROLES = Path(__file__).parents[2] / "workers"


@pytest.fixture
def broker() -> Iterator[socket.socket]:
    """Something that takes connections, as a broker does."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def check(role: str, url: str, pid: int, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    secret = tmp_path / "broker-url"
    secret.write_text(f"{url}\n")
    return subprocess.run(
        ["sh", ROLES / role / "healthcheck.sh", str(pid)],
        env={"PATH": os.environ["PATH"], "TINYQUEUE_BROKER_URL_FILE": str(secret)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("role", ["player", "learner"])
def test_a_process_with_a_connection_to_its_broker_is_healthy(
    role: str, broker: socket.socket, tmp_path: Path
) -> None:
    port = broker.getsockname()[1]
    with socket.create_connection(("127.0.0.1", port)):
        done = check(role, f"amqp://player:secret@broker:{port}/tinyqueue", os.getpid(), tmp_path)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "secret" not in done.stdout


def test_a_process_that_lost_its_broker_is_not(broker: socket.socket, tmp_path: Path) -> None:
    port = broker.getsockname()[1]

    done = check("player", f"amqp://broker:{port}", os.getpid(), tmp_path)

    assert done.returncode == 1
    assert f"no connection to the broker's port {port}" in done.stdout


def test_another_process_with_a_connection_does_not_count(
    broker: socket.socket, tmp_path: Path
) -> None:
    port = broker.getsockname()[1]
    with (
        socket.create_connection(("127.0.0.1", port)),
        subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other,
    ):
        done = check("player", f"amqp://broker:{port}", other.pid, tmp_path)

    assert done.returncode == 1


def test_a_process_that_has_ended_is_not_healthy(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass

    done = check("player", "amqp://broker", ended.pid, tmp_path)

    assert done.returncode == 1
    assert "cannot be inspected" in done.stdout
