"""Given environment variables, and files that stand for them."""

from __future__ import annotations

import multiprocessing
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tinyqueue.errors import ConfigError
from tinyqueue.settings import (
    DEFAULT_BROKER_URL,
    Settings,
    host_name,
    load_settings,
    player_name,
    unprotected,
)
from tinyqueue.urls import masked


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("TINYQUEUE_")]:
        monkeypatch.delenv(name)


def test_without_variables_services_are_on_this_machine() -> None:
    settings = load_settings()

    assert settings.broker == DEFAULT_BROKER_URL == "amqp://guest:guest@localhost:5672//"
    assert settings.redis == "redis://localhost:6379/0"
    assert settings.login == "guest"
    assert settings.declare
    assert settings.play_queues == ("play",)
    assert settings.environment_modules == ()


def test_an_empty_variable_is_one_that_was_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BROKER_URL", "REDIS_URL", "QUEUE_TYPE", "ENVIRONMENT_MODULES", "DECLARE"):
        monkeypatch.setenv(f"TINYQUEUE_{name}", "")

    assert load_settings() == Settings()


def test_variables_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYQUEUE_BROKER_URL", "amqps://rack-3:pw@mq.example/tq")
    monkeypatch.setenv("TINYQUEUE_DECLARE", "0")
    monkeypatch.setenv("TINYQUEUE_PLAY_QUEUES", " play, play.gpu ,,")
    monkeypatch.setenv("TINYQUEUE_ENVIRONMENT_MODULES", "my_games")
    monkeypatch.setenv("TINYQUEUE_WORKER_MAX_TASKS_PER_CHILD", "50")
    monkeypatch.setenv("TINYQUEUE_RUNS_DIR", "/data/runs")

    settings = load_settings()

    assert settings.broker == "amqps://rack-3:pw@mq.example/tq"
    assert settings.login == "rack-3"
    assert not settings.declare
    assert settings.play_queues == ("play", "play.gpu")
    assert settings.environment_modules == ("my_games",)
    assert settings.worker_max_tasks_per_child == 50
    assert settings.runs_dir == Path("/data/runs")


def test_a_file_stands_for_a_variable_and_wins(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    secret = tmp_path / "broker"
    secret.write_text("amqp://a:secret@mq//\n")
    monkeypatch.setenv("TINYQUEUE_BROKER_URL", "amqp://other//")
    monkeypatch.setenv("TINYQUEUE_BROKER_URL_FILE", str(secret))

    assert load_settings().broker == "amqp://a:secret@mq//"


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_file_that_cannot_be_read_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv("TINYQUEUE_REDIS_URL_FILE", str(path))

    with pytest.raises(ConfigError, match=f"TINYQUEUE_REDIS_URL_FILE names {path}"):
        load_settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TINYQUEUE_QUEUE_TYPE", "stream"),
        ("TINYQUEUE_DECLARE", "perhaps"),
        ("TINYQUEUE_WORKER_MAX_TASKS_PER_CHILD", "0"),
    ],
)
def test_a_value_that_cannot_be_used_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(ConfigError, match=name):
        load_settings()


def test_secrets_are_not_shown() -> None:
    settings = Settings(broker_url="amqp://a:hunter2@mq//")

    assert "hunter2" not in repr(settings)
    assert "hunter2" not in str(settings.model_dump())


def test_settings_are_fixed_once_read() -> None:
    with pytest.raises(ValidationError):
        Settings().declare = False  # type: ignore[misc]  # it is frozen


@pytest.mark.parametrize(
    ("url", "user", "login"),
    [
        ("amqp://rack-3:pw@mq//", "", "rack-3"),
        ("amqp://rack%203:pw@mq//", "", "rack 3"),
        ("amqp://rack-3:pw@mq//", "machine-7", "machine-7"),
        ("redis://:pw@localhost/0", "", "local"),
        ("redis+socket:///tmp/redis.sock", "", "local"),
    ],
)
def test_the_login_is_the_brokers_unless_it_is_given(url: str, user: str, login: str) -> None:
    assert Settings(broker_url=url, user=user).login == login


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("amqp://a:pw@mq:5672//", "amqp://a:***@mq:5672//"),
        ("redis://:pw@localhost:6379/0", "redis://:***@localhost:6379/0"),
        ("amqp://a:p/w#x?y@mq//", "amqp://a:***@mq//"),
        ("amqp://a:p@w@mq//", "amqp://a:***@mq//"),
        ("amqp://a:pw@m1//;amqp://b:qx@m2//", "amqp://a:***@m1//;amqp://b:***@m2//"),
        ("redis://localhost?db=1&password=pw&x=2", "redis://localhost?db=1&password=***&x=2"),
        ("amqp://a:pw@[::1", "amqp://a:***@[::1"),
        ("amqp://a@mq:5672//", "amqp://a@mq:5672//"),
        ("redis+socket:///tmp/redis.sock", "redis+socket:///tmp/redis.sock"),
        ("", ""),
    ],
)
def test_a_masked_url_shows_all_but_the_password(url: str, shown: str) -> None:
    assert masked(url) == shown


@given(password=st.from_regex(r"[!-~]{0,20}", fullmatch=True).filter(lambda p: "://" not in p))
def test_no_password_is_ever_shown(password: str) -> None:
    assert masked(f"amqp://user:{password}@mq.example:5672//") == (
        "amqp://user:***@mq.example:5672//"
    )


def test_the_host_is_this_one() -> None:
    assert host_name() == socket.gethostname()


@pytest.mark.integration
def test_processes_of_one_host_and_one_pid_have_names_of_their_own() -> None:
    # Given containers on their host's network, and their first process
    said = "import os; os.getpid = lambda: 17; from tinyqueue.settings import player_name as p; "
    said += "print(p()); print(p())"

    names = [subprocess.check_output([sys.executable, "-c", said], text=True) for _ in range(4)]

    for first, second in (name.splitlines() for name in names):
        assert first == second
        assert re.fullmatch(rf"{re.escape(socket.gethostname())}:17:[0-9a-f]{{4}}", first)
    assert len(set(names)) == 4


@pytest.mark.integration
def test_a_worker_knows_the_names_of_its_pool_children() -> None:
    player_name()

    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply(player_name) == player_name(pool.apply(os.getpid))


@pytest.mark.integration
def test_a_pool_child_does_not_keep_the_name_of_its_parent() -> None:
    named = player_name()

    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply(player_name) != named


@pytest.mark.parametrize(
    ("broker", "store", "named"),
    [
        ("amqp://u:p@mq.example//", "redis://localhost/0", ["amqp://u:***@mq.example//"]),
        (
            "amqps://u:p@mq.example//",
            "redis://:p@store.example/0",
            ["redis://:***@store.example/0"],
        ),
        ("amqps://u:p@mq.example//", "rediss://:p@store.example/0", []),
        ("amqp://u:p@127.0.0.1//", "unix:///run/redis.sock", []),
    ],
)
def test_plain_urls_to_other_hosts_are_named(broker: str, store: str, named: list[str]) -> None:
    assert unprotected(Settings(broker_url=broker, redis_url=store)) == named


def test_a_home_folder_is_found_where_no_shell_has_seen_it(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "secret").write_text("redis://localhost:1/0\n")
    monkeypatch.setenv("TINYQUEUE_REDIS_URL_FILE", "~/secret")
    monkeypatch.setenv("TINYQUEUE_RUNS_DIR", "~/runs")
    monkeypatch.setenv("TINYQUEUE_PUBLISH_JOURNAL", "~/journal")

    settings = load_settings()

    assert settings.redis == "redis://localhost:1/0"
    assert settings.runs_dir == tmp_path / "runs"
    assert settings.publish_journal == tmp_path / "journal"
