"""Given tasks that nobody takes from a Redis queue: their sender takes them back."""

from __future__ import annotations

import json

import pytest
import redis

from tinyqueue.bus.broker import Broker
from tinyqueue.bus.redis_expiry import CHECK_S, Expiry
from tinyqueue.bus.task_connection import TaskConnection
from tinyqueue.bus.task_sender import EXPIRES_S, TaskSender
from tinyqueue.celery import make_app
from tinyqueue.local.redis_server import RedisServer
from tinyqueue.settings import Settings

pytestmark = pytest.mark.integration


def test_what_nobody_took_in_time_is_taken_back_and_nothing_else(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given two senders at one queue, and a clock
    now_s = [0.0]
    url = redis_server.broker_url
    settings = Settings(broker_url=url, redis_url=redis_server.redis_url)
    senders = []
    for _ in range(2):
        connection = TaskConnection(Broker(url))
        connection._expiry = Expiry(lambda: now_s[0])
        senders.append(TaskSender(make_app(settings), connection, "play", ""))
    waiting = redis.Redis(unix_socket_path=str(redis_server.socket_path), db=1)

    def send(sender: TaskSender, task: str) -> int:
        sender.play(task, experiment="pole", run="r", spec_version=1, budget_s=1.0)
        return waiting.llen("play")

    with waiting:
        waiting.delete("play")
        # When their tasks wait, and one is taken
        assert [send(senders[0], "a"), send(senders[0], "b"), send(senders[1], "c")] == [1, 2, 3]
        waiting.rpop("play")
        now_s[0] = EXPIRES_S - 1
        assert send(senders[0], "d") == 3

        # Then each takes back its own, once their time is over
        now_s[0] = EXPIRES_S
        assert send(senders[0], "e") == 3
        assert sorted(id_of(raw) for raw in waiting.lrange("play", 0, -1)) == ["c", "d", "e"]
        now_s[0] += CHECK_S
        assert send(senders[1], "f") == 3
        assert sorted(id_of(raw) for raw in waiting.lrange("play", 0, -1)) == ["d", "e", "f"]
        waiting.delete("play")
    for sender in senders:
        sender.close()


def id_of(raw: bytes | str) -> str:
    return str(json.loads(raw)["headers"]["id"])
