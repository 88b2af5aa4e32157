"""Celery workers as child processes."""

import time
from types import SimpleNamespace

import psutil
import pytest

from tinyqueue.local.guard import end_guarded
from tinyqueue.local.players import LocalPlayers
from tinyqueue.local.redis_server import RedisServer
from tinyqueue.settings import Settings


@pytest.fixture
def settings(tmp_path):
    with RedisServer(tmp_path / "redis") as server:
        yield Settings(broker_url=server.broker_url, redis_url=server.redis_url)


def eventually(condition, within_s=20.0):
    deadline_s = time.monotonic() + within_s
    while not (value := condition()) and time.monotonic() < deadline_s:
        time.sleep(0.02)
    return value


def below(pid):
    return psutil.Process(pid).children(recursive=True)


@pytest.mark.integration
def test_players_start_in_a_pool_and_leave_nothing_behind(settings, tmp_path, monkeypatch):
    # What the parent's environment says of other services is not for them.
    monkeypatch.setenv("TINYQUEUE_BROKER_URL_FILE", "/nowhere")
    monkeypatch.setenv("CELERY_BROKER_URL", "amqp://nowhere.invalid//")
    monkeypatch.setenv("CELERY_CONFIG_MODULE", "another_project")
    log = tmp_path / "new" / "players.log"

    with LocalPlayers(settings, 2, ("play", "evaluate"), log) as players:
        assert eventually(lambda: "ready." in log.read_text())
        processes = below(players.pid)
        assert players.ended is None
        # A worker and its two pool children.
        assert len(processes) >= 3

    assert eventually(lambda: not any(process.is_running() for process in processes))
    assert players.pid == 0
    players.stop()


@pytest.mark.integration
def test_players_that_end_by_themselves_tell_why(settings, tmp_path):
    with LocalPlayers(settings, 1, ("paly",), tmp_path / "players.log") as players:
        ended = eventually(lambda: players.ended)

    assert "paly" in ended


def test_a_machine_without_shared_memory_is_told_what_is_left(tmp_path, monkeypatch):
    log = tmp_path / "players.log"
    log.write_text("  sl = SemLock(\nOSError: [Errno 30] Read-only file system\n")
    players = LocalPlayers(Settings(), 1, ("play",), log)
    monkeypatch.setattr(players, "_guard", SimpleNamespace(poll=lambda: 1, returncode=1))

    ended = players.ended
    assert ended is not None
    assert "--serial" in ended


@pytest.mark.integration
def test_players_may_import_what_the_command_added(settings, tmp_path, monkeypatch):
    monkeypatch.setenv("TINYQUEUE_ENVIRONMENT_MODULES_FILE", "/nowhere")
    more = settings.model_copy(update={"environment_modules": ("mine", "minigrid")})

    environment = LocalPlayers(more, 1, ("play",), tmp_path / "players.log")._environment()

    assert environment["TINYQUEUE_ENVIRONMENT_MODULES"] == "mine,minigrid"
    assert "TINYQUEUE_ENVIRONMENT_MODULES_FILE" not in environment


@pytest.mark.integration
def test_players_that_are_replaced_have_not_ended_by_themselves(settings, tmp_path, monkeypatch):
    # Given somebody who looks while the old ones are being ended
    seen = []

    def ending(guard):
        end_guarded(guard)
        seen.append((guard.poll() is not None, players.ended))

    monkeypatch.setattr("tinyqueue.local.players.end_guarded", ending)
    with LocalPlayers(settings, 1, ("play",), tmp_path / "players.log") as players:
        before = players.pid
        players.restart(1, ("play", "evaluate"))

        assert seen == [(True, None)]
        assert players.ended is None
        assert players.pid not in (0, before)


@pytest.mark.integration
def test_players_that_were_not_started_are_not_replaced(settings, tmp_path):
    players = LocalPlayers(settings, 0, ("play",), tmp_path / "players.log")
    players.restart(1, ("play",))

    assert players.pid == 0


@pytest.mark.integration
def test_nothing_runs_before_the_start(settings, tmp_path):
    players = LocalPlayers(settings, 1, ("play",), tmp_path / "players.log")

    assert players.pid == 0
    assert players.ended is None
    players.stop()


def test_what_players_cannot_publish_waits_with_their_run(monkeypatch, tmp_path):
    monkeypatch.delenv("TINYQUEUE_SPOOL_DIR", raising=False)
    players = LocalPlayers(Settings(), 1, ("play",), tmp_path / "players.log")
    assert players._environment()["TINYQUEUE_SPOOL_DIR"] == str(tmp_path / "spool")

    monkeypatch.setenv("TINYQUEUE_SPOOL_DIR", "/elsewhere")
    assert players._environment()["TINYQUEUE_SPOOL_DIR"] == "/elsewhere"
