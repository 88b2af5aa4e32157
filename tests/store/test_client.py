from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest
import redis

from tinyqueue.errors import ConfigError, ServiceUnreachableError
from tinyqueue.local.redis_server import RedisServer
from tinyqueue.store.client import TIMEOUT_S, address, answering, connect, read
from tinyqueue.store.weights import WeightStore

pytestmark = pytest.mark.integration


def test_a_client_gives_bytes_and_never_waits_longer_than_its_time_out(
    client: redis.Redis,
) -> None:
    client.set("tinyqueue:x", "1")
    assert read(client, "tinyqueue:x") == b"1"
    assert read(client, "tinyqueue:y") is None
    given = client.connection_pool.connection_kwargs
    assert given["socket_timeout"] == given["socket_connect_timeout"] == 5.0
    assert given["retry"].get_retries() == 0


def test_large_values_are_read_by_hiredis(client: redis.Redis) -> None:
    weights = bytes(range(256)) * 10_000
    client.set("tinyqueue:x", weights)

    assert read(client, "tinyqueue:x") == weights
    connection = client.connection_pool.get_connection()
    client.connection_pool.release(connection)
    assert type(connection._parser).__name__ == "_HiredisParser"


def test_large_values_are_sent_from_where_they_lie(client: redis.Redis) -> None:
    weights = bytes(100_000)
    connection = client.connection_pool.get_connection()

    packed = connection.pack_command("SET", "tinyqueue:x", weights)

    client.connection_pool.release(connection)
    assert any(part is weights for part in packed)


def test_an_absent_server_is_named_without_its_password() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(ServiceUnreachableError, match="Start it with") as caught:
            connect(f"redis://learner:secret@127.0.0.1:{port}/0")
    assert f"learner:***@127.0.0.1:{port}" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_url_of_something_else_is_a_config_error_without_its_password() -> None:
    with pytest.raises(ConfigError, match="TINYQUEUE_REDIS_URL") as caught:
        connect("amqp://guest:secret@localhost")
    assert "secret" not in str(caught.value)


def test_a_server_that_went_away_is_unreachable_and_found_again_when_it_is_back(
    tmp_path: Path,
) -> None:
    server = RedisServer(tmp_path)
    with server:
        client = connect(server.redis_url)
        store = WeightStore(client, "cartpole")
        assert store.head() == -1
    with pytest.raises(ServiceUnreachableError, match=r"redis\.sock does not answer"):
        store.head()
    with server:
        assert store.head() == -1
    client.close()


def test_a_server_that_hangs_is_given_up_after_the_time_out(
    client: redis.Redis, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tinyqueue.store.client.TIMEOUT_S", 0.2)
    with connect(redis_url) as hurried:
        client.client_pause(1000)
        before = time.monotonic()
        with pytest.raises(ServiceUnreachableError, match="may or may not have been carried out"):
            WeightStore(hurried, "cartpole").head()
        assert time.monotonic() - before < 0.9
    client.client_unpause()
    assert TIMEOUT_S == 5.0


def test_a_full_server_says_that_it_refuses(client: redis.Redis) -> None:
    client.config_set("maxmemory", 1)
    try:
        with (
            pytest.raises(ServiceUnreachableError, match=r"refuses .*maxmemory.*more memory"),
            answering(client),
        ):
            client.set("tinyqueue:x", 1)
    finally:
        client.config_set("maxmemory", 0)


def test_an_address_holds_neither_login_nor_password() -> None:
    assert address(redis.Redis.from_url("redis://user:secret@store:6380/2")) == "store:6380"
    assert address(redis.Redis.from_url("unix:///run/redis.sock")) == "/run/redis.sock"
