"""Whatever a server answers, everything that asks it is told the same: not now."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st
from redis.exceptions import RedisClusterException
from refusing_redis import RefusingRedis, refusing_redis

from tinyqueue.errors import LeaseNotRenewedError, NotNowError, ServiceUnreachableError
from tinyqueue.experiment.environment import EnvironmentConfig
from tinyqueue.experiment.play_spec import PlaySpec
from tinyqueue.store.attempts import count_attempt
from tinyqueue.store.client import answering, connect
from tinyqueue.store.lease import LearnerLease, learner_is_alive, read_lease, request_stop
from tinyqueue.store.specs import SpecStore
from tinyqueue.store.status import StatusBoard
from tinyqueue.store.weights import WeightStore
from tinyqueue.wire.weights import WeightVersion

WEIGHTS = WeightVersion(0, 1, "a" * 32, 0, 0, "0" * 64, {"w": np.zeros(2, np.float32)})
SPEC = PlaySpec(
    experiment="pole",
    run="a" * 32,
    environment=EnvironmentConfig(id="CartPole-v1", max_episode_steps=None),
    observation_space={},
    action_space={},
    head="categorical",
    ticks=32,
    slots=64,
    graph_sha256=hashlib.sha256(b"graph").hexdigest(),
)
CALLS: dict[str, Callable[[redis.Redis], object]] = {
    "head": lambda c: WeightStore(c, "pole").head(),
    "fetch": lambda c: WeightStore(c, "pole").fetch(),
    "publish": lambda c: WeightStore(c, "pole").publish(WEIGHTS),
    "pin": lambda c: WeightStore(c, "pole").pin(0, 1.0),
    "spec": lambda c: SpecStore(c).load("pole"),
    "publish spec": lambda c: SpecStore(c).publish(SPEC, b"graph"),
    "graph": lambda c: SpecStore(c).graph("pole", "0" * 64),
    "experiments": lambda c: SpecStore(c).experiments(),
    "status": lambda c: StatusBoard(c).read("pole"),
    "write status": lambda c: StatusBoard(c).write("pole", {}, 1.0),
    "acquire": lambda c: LearnerLease(c, "pole", "a" * 32, "me").acquire(0),
    "renew": lambda c: LearnerLease(c, "pole", "a" * 32, "me").renew(),
    "read lease": lambda c: read_lease(c, "pole"),
    "alive": lambda c: learner_is_alive(c, "pole"),
    "stop": lambda c: request_stop(c, "pole"),
    "attempt": lambda c: count_attempt(c, "t"),
}
REFUSALS = {
    "BUSY": "Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
    "LOADING": "Redis is loading the dataset in memory",
    "MISCONF": "Redis is configured to save RDB snapshots, but is unable to persist on disk.",
    "READONLY": "You can't write against a read only replica.",
    "NOSCRIPT": "No matching script. Please use EVAL.",
    "OOM": "command not allowed when used memory > 'maxmemory'.",
    "NOAUTH": "Authentication required.",
    "WRONGPASS": "invalid username-password pair or user is disabled.",
    "NOPERM": "User player has no permissions to run the 'eval' command",
    "MASTERDOWN": "Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    "CLUSTERDOWN": "The cluster is down",
    "NOREPLICAS": "Not enough good replicas to write.",
    "TRYAGAIN": "Multiple keys request during rehashing of slot",
    "MOVED": "3999 127.0.0.1:6381",
    "ASK": "3999 127.0.0.1:6381",
    "CROSSSLOT": "Keys in request don't hash to the same slot",
    "EXECABORT": "Transaction discarded because of previous errors.",
    "WRONGTYPE": "Operation against a key holding the wrong kind of value",
    "UNKILLABLE": "Sorry the script already executed write commands against the dataset.",
    "ERR": "max number of clients reached",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RefusingRedis]:
    with refusing_redis(tmp_path_factory.mktemp("r")) as server:
        yield server


@pytest.fixture(scope="module")
def client(server: RefusingRedis) -> Iterator[redis.Redis]:
    with connect(server.url) as client:
        yield client


@pytest.mark.parametrize("code", REFUSALS)
@pytest.mark.parametrize("call", CALLS)
def test_every_refusal_of_the_server_means_not_now(
    server: RefusingRedis, client: redis.Redis, code: str, call: str
) -> None:
    server.answer = f"-{code} {REFUSALS[code]}\r\n".encode()

    with pytest.raises(ServiceUnreachableError) as caught:
        CALLS[call](client)

    assert isinstance(caught.value, NotNowError)
    if code not in ("ERR", "MOVED", "ASK"):
        assert caught.value.kind == code.lower()


def test_a_server_with_too_many_clients_refuses_and_is_told_so(
    server: RefusingRedis, client: redis.Redis
) -> None:
    server.answer = b"-ERR max number of clients reached\r\n"

    with pytest.raises(ServiceUnreachableError, match=r"refuses \(.*Let it have more") as caught:
        CALLS["publish"](client)

    assert caught.value.kind == "maxclients"


@given(
    answer=st.one_of(
        st.just(b""),
        st.from_regex(r"-[A-Z]{1,12}( [ -~]{0,60})?\r\n", fullmatch=True).map(str.encode),
        st.binary(min_size=1, max_size=40)
        .filter(lambda raw: raw[:1] not in b"+-:$*_#,(=!%~>|\r\n")
        .map(lambda raw: raw + b"\r\n"),
    ),
    call=st.sampled_from(sorted(CALLS)),
)
@settings(max_examples=50, deadline=None)
def test_no_refusal_and_no_noise_is_anything_but_not_now(
    server: RefusingRedis, client: redis.Redis, answer: bytes, call: str
) -> None:
    server.answer = answer

    with pytest.raises(ServiceUnreachableError):
        CALLS[call](client)


@pytest.mark.parametrize(
    "answer",
    [b"+OK\r\n", b":1\r\n", b":-1\r\n", b"$2\r\nok\r\n", b"$0\r\n\r\n", b"*0\r\n", b"*1\r\n:7\r\n"],
)
@pytest.mark.parametrize("call", ["publish", "publish spec", "write status"])
def test_an_answer_to_something_else_replaces_no_learner(
    server: RefusingRedis, client: redis.Redis, answer: bytes, call: str
) -> None:
    server.answer = answer

    with pytest.raises(ServiceUnreachableError, match="an answer to something else"):
        CALLS[call](client)


def family(of: type[BaseException]) -> set[type[BaseException]]:
    """A class of failure and everything below it that Python or the library can raise."""
    ours = of.__module__ in ("builtins", "socket", "ssl") or of.__module__.startswith("redis.")
    return ({of} if ours else set()).union(*(family(kind) for kind in of.__subclasses__()))


@pytest.mark.parametrize(
    "kind",
    sorted(
        family(redis.RedisError) | family(RedisClusterException) | family(OSError),
        key=str,
    ),
)
def test_every_class_of_failure_that_the_library_has_means_not_now(
    client: redis.Redis, kind: type[BaseException]
) -> None:
    error = kind.__new__(kind)
    with pytest.raises(ServiceUnreachableError, match="Redis at"), answering(client):
        raise error


def test_a_defect_is_no_trouble_with_the_server(client: redis.Redis) -> None:
    with pytest.raises(ZeroDivisionError), answering(client):
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        ("LOADING", "answers once it has done so"),
        ("NOAUTH", "Correct the login"),
        ("OOM", "memory"),
    ],
)
def test_at_the_start_the_reason_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, advice: str
) -> None:
    line = f"-{code} {REFUSALS[code]}\r\n".encode()
    monkeypatch.setattr(RefusingRedis, "pong", line)
    with (
        refusing_redis(tmp_path) as server,
        pytest.raises(ServiceUnreachableError, match=advice) as caught,
    ):
        connect(server.url)
    assert caught.value.kind == code.lower()


@pytest.mark.parametrize(
    "answer", [b"-BUSY a script\r\n", b"", b":7\r\n", b"*0\r\n", b"+OK\r\n", b"-MOVED\r\n"]
)
def test_the_thread_of_the_lease_outlives_every_answer(
    server: RefusingRedis, client: redis.Redis, answer: bytes
) -> None:
    server.answer = b":1\r\n"
    lease = LearnerLease(client, "pole", "a" * 32, "me", ttl_s=0.2)
    lease.acquire(0)

    server.answer = answer
    assert until(lambda: not lease.is_valid)
    with pytest.raises(LeaseNotRenewedError):
        lease.check()
    server.answer = b"*2\r\n:1\r\n$0\r\n\r\n"
    assert until(lambda: lease.is_valid)
    assert lease.trouble == ""
    lease.release()


def until(condition: Callable[[], bool], within_s: float = 5.0) -> bool:
    deadline = time.monotonic() + within_s
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()
