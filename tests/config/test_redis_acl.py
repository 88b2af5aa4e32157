"""The access rules for Redis, applied to a real server."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import redis

from tinyqueue.experiment.environment import EnvironmentConfig
from tinyqueue.experiment.play_spec import PlaySpec
from tinyqueue.store.attempts import count_attempt
from tinyqueue.store.keys import attempts_key
from tinyqueue.store.lease import LearnerLease, read_lease
from tinyqueue.store.memory import memory_advice
from tinyqueue.store.specs import SpecStore
from tinyqueue.store.weights import WeightStore
from tinyqueue.wire.weights import WeightVersion

ROOT = Path(__file__).parents[2]
RUN = "a" * 32
GRAPH = b"a graph"
PASSWORDS = {"player": "play", "learner": "learn", "monitor": "watch", "admin": "admin"}
Connect = Callable[[str], redis.Redis]

pytestmark = pytest.mark.integration


def a_spec() -> PlaySpec:
    leaf = {"dtype": "float32", "shape": [4], "n": 0, "low": None, "high": None}
    action = {"dtype": "uint8", "shape": [], "n": 2, "low": None, "high": None}
    return PlaySpec(
        experiment="acrobot",
        run=RUN,
        environment=EnvironmentConfig(id="Acrobot-v1", max_episode_steps=None),
        observation_space={"": leaf},
        action_space={"": action},
        head="categorical",
        ticks=32,
        slots=64,
        graph_sha256=hashlib.sha256(GRAPH).hexdigest(),
    )


@pytest.fixture(scope="module")
def connect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connect]:
    """A server with config/services/redis.conf and the rules; gives a client per role."""
    directory = tmp_path_factory.mktemp("acl")
    for role in ("player", "learner", "monitor"):
        (directory / f"{role}-password").write_text(PASSWORDS[role])
    script = ROOT / "scripts" / "redis-acl.sh"
    rules = subprocess.run(["sh", script, directory], check=True, capture_output=True).stdout
    (directory / "users.acl").write_bytes(rules + b"user admin on >admin allcommands allkeys\n")
    program = shutil.which("redis-server", path="/usr/bin:/usr/local/bin:/opt/homebrew/bin")
    assert program is not None, "these rules need Redis 7; `make services` installs it"
    path = directory / "s"
    configuration = ROOT / "config/services/redis.conf"
    options: list[str | Path] = ["--aclfile", directory / "users.acl"]
    options += ["--port", "0", "--unixsocket", path, "--dir", directory]
    server = subprocess.Popen([program, configuration, *options], stdout=subprocess.DEVNULL)
    clients: list[redis.Redis] = []

    def client(role: str) -> redis.Redis:
        made = redis.Redis(unix_socket_path=str(path), username=role, password=PASSWORDS[role])
        clients.append(made)
        return made

    deadline = time.monotonic() + 10
    while not path.exists() and server.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert server.poll() is None, "redis-server refused the configuration or the rules"
    yield client
    for made in clients:
        made.close()
    server.kill()
    server.wait()


@pytest.fixture
def admin(connect: Connect) -> redis.Redis:
    return connect("admin")


def test_a_stranger_is_refused(connect: Connect) -> None:
    path = connect("player").connection_pool.connection_kwargs["path"]
    with redis.Redis(unix_socket_path=path) as stranger, pytest.raises(redis.AuthenticationError):
        stranger.get("tinyqueue:experiments")


def test_a_player_reads_what_a_learner_has_published(connect: Connect) -> None:
    learner = connect("learner")
    learner.eval("return redis.call('SET', KEYS[1], ARGV[1])", 1, "tinyqueue:cartpole:head", "7")

    player = connect("player")

    assert player.get("tinyqueue:cartpole:head") == b"7"
    assert player.get("tinyqueue:cartpole:head") == b"7"
    # One command that asks for the same key many times would take all memory of the server.
    with pytest.raises(redis.exceptions.NoPermissionError):
        player.mget(["tinyqueue:cartpole:head"] * 2)


def test_a_player_counts_the_deliveries_of_a_task_and_writes_nothing_else(connect: Connect) -> None:
    player = connect("player")

    assert count_attempt(player, "task-1") == 1
    assert count_attempt(player, "task-1") == 2
    assert 0 < connect("monitor").ttl(attempts_key("task-1")) <= 3600
    with pytest.raises(redis.exceptions.NoPermissionError):
        player.execute_command("INCR", "tinyqueue:cartpole:head")
    with pytest.raises(redis.exceptions.NoPermissionError):
        player.set(attempts_key("task-1"), "0")
    with pytest.raises(redis.exceptions.NoPermissionError):
        player.incrby(attempts_key("task-1"), 10**9)
    with pytest.raises(redis.exceptions.NoPermissionError):
        player.get("somebody-else")


@pytest.mark.parametrize(
    "name",
    [b"", b"0", b"00000", b"GGGG", b"000g", b"????", b"\0\0\0\0", bytes(1_000_000), b"0000:1"],
)
def test_a_player_makes_no_key_of_another_name(connect: Connect, name: bytes) -> None:
    with pytest.raises(redis.exceptions.NoPermissionError):
        connect("player").execute_command("INCR", b"tinyqueue:attempts:" + name)


def test_all_that_a_player_can_leave_behind_is_a_few_megabytes(
    connect: Connect, admin: redis.Redis
) -> None:
    player = connect("player")
    before = used_bytes(admin)

    with player.pipeline(transaction=False) as batch:
        for number in range(65_536):
            batch.execute_command("INCR", f"tinyqueue:attempts:{number:04x}")
        batch.execute()
    for number in range(50):
        for command in ("INCR", "GET"):
            with pytest.raises(redis.exceptions.NoPermissionError):
                player.execute_command(command, f"{number}".zfill(1_000_000))

    assert used_bytes(admin) - before < 12_000_000


def test_a_player_that_asks_without_reading_is_disconnected(
    connect: Connect, admin: redis.Redis
) -> None:
    learner = connect("learner")
    learner.set("tinyqueue:cartpole:weights:1", bytes(1_000_000))
    admin.config_set("maxmemory", "64mb")
    try:
        path = connect("player").connection_pool.connection_kwargs["path"]
        with socket.socket(socket.AF_UNIX) as greedy, contextlib.suppress(OSError):
            greedy.connect(path)
            greedy.sendall(b"AUTH player play\r\n" + 200 * b"GET tinyqueue:cartpole:weights:1\r\n")
            deadline = time.monotonic() + 10
            while not admin.info("stats")["evicted_clients"] and time.monotonic() < deadline:
                time.sleep(0.05)

        assert admin.info("stats")["evicted_clients"] == 1
        assert learner.set("tinyqueue:cartpole:weights:2", bytes(1_000_000))
    finally:
        admin.config_set("maxmemory", "2gb")


def used_bytes(admin: redis.Redis) -> int:
    return int(admin.info("memory")["used_memory"])


def test_the_server_has_a_bound_and_evicts_nothing(admin: redis.Redis) -> None:
    memory = admin.info("memory")
    assert memory["maxmemory"] == 2 << 30
    assert memory["maxmemory_policy"] == "noeviction"
    assert memory_advice(admin) == ""


def test_a_learner_is_told_of_a_server_without_a_bound(
    connect: Connect, admin: redis.Redis
) -> None:
    learner = connect("learner")
    assert memory_advice(learner) == ""
    admin.config_set("maxmemory", "0")
    try:
        assert "has no bound for its memory" in memory_advice(learner)
    finally:
        admin.config_set("maxmemory", "2gb")


@pytest.mark.parametrize("role", ["learner", "monitor", "player"])
def test_no_role_may_empty_or_reconfigure_the_server(connect: Connect, role: str) -> None:
    client = connect(role)

    with pytest.raises(redis.exceptions.NoPermissionError):
        client.flushall()
    with pytest.raises(redis.exceptions.NoPermissionError):
        client.config_set("maxmemory", "1mb")


def test_a_learner_stays_among_its_own_keys(connect: Connect) -> None:
    learner = connect("learner")

    assert learner.set("tinyqueue:cartpole:weights:1", b"w", ex=30)
    with pytest.raises(redis.exceptions.NoPermissionError):
        learner.set("celery-task-meta-1", "x")


def test_a_monitor_reads_and_does_not_write(connect: Connect) -> None:
    connect("learner").sadd("tinyqueue:experiments", "cartpole")
    monitor = connect("monitor")

    assert monitor.smembers("tinyqueue:experiments") == {b"cartpole"}
    with pytest.raises(redis.exceptions.NoPermissionError):
        monitor.delete("tinyqueue:experiments")


def test_a_learner_leads_and_publishes_while_a_monitor_and_a_player_look_on(
    connect: Connect,
) -> None:
    learner, monitor, player = connect("learner"), connect("monitor"), connect("player")
    lease = LearnerLease(learner, "acrobot", RUN, holder="process 7")

    epoch = lease.acquire(at_least_epoch=3)
    try:
        held = lease.renew()
        SpecStore(learner).publish(a_spec(), GRAPH, epoch)
        weights = {"w": np.ones((3, 2), np.float32)}
        WeightStore(learner, "acrobot").publish(
            WeightVersion(0, epoch, RUN, 0, 0, a_spec().graph_sha256, weights)
        )
        info = read_lease(monitor, "acrobot")
    finally:
        lease.release()

    assert (epoch, held) == (4, True)
    assert info is not None
    assert (info.holder, info.run, info.epoch) == ("process 7", RUN, 4)
    assert read_lease(monitor, "acrobot") is None
    assert SpecStore(player).load("acrobot") == a_spec()
    assert WeightStore(player, "acrobot").fetch().version == 0
