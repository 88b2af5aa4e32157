"""A player's tasks, the learners that published them, and a broker that answers as it is told."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import redis

from tinyqueue.bus.messages import Outgoing, PublishOutcome
from tinyqueue.data.session import Header
from tinyqueue.experiment.play_spec import PlaySpec
from tinyqueue.player.player import Player, PlayTask
from tinyqueue.settings import Settings
from tinyqueue.store.client import connect
from tinyqueue.store.keys import Keys
from tinyqueue.store.specs import SpecStore
from tinyqueue.store.weights import WeightStore
from tinyqueue.wire.limits import Limits
from tinyqueue.wire.sessions import decode_session
from tinyqueue.wire.weights import WeightVersion

EPOCH = 1
CONFIRMED, FULL, NO_ROOM, NO_LEARNER, UNKNOWN = PublishOutcome


class Broker:
    """Answers publishes with what is in ``outcomes``, then with ``otherwise``."""

    def __init__(self) -> None:
        self.outcomes: deque[PublishOutcome] = deque()
        self.otherwise = CONFIRMED
        self.offered: list[Header] = []
        self.confirmed: list[Header] = []
        self.closed = 0

    def __call__(self, broker: object, login: str, **_: object) -> Any:
        return self

    def publish(self, outgoing: Outgoing) -> PublishOutcome:
        batch = decode_session(outgoing.body, outgoing.headers, Limits())
        assert outgoing.message_id == batch.header.batch_id
        self.offered.append(batch.header)
        outcome = self.outcomes.popleft() if self.outcomes else self.otherwise
        if outcome is CONFIRMED:
            self.confirmed.append(batch.header)
        return outcome

    def pause_s(self) -> float:
        return 0.002

    def close(self) -> None:
        self.closed += 1


class Learners:
    """Publishes specs and weights as learners do."""

    def __init__(
        self,
        client: redis.Redis,
        make_spec: Callable[..., PlaySpec],
        make_graph: Callable[[PlaySpec], bytes],
    ) -> None:
        self.client, self.make_spec, self.make_graph = client, make_spec, make_graph
        self.versions = 0

    def start(
        self,
        experiment: str = "maze",
        run: str = "a-run",
        env: str = "Countdown-v0",
        **environment: Any,
    ) -> PlaySpec:
        played = self.make_spec(env, ticks=4, slots=2, **environment)
        graph = self.make_graph(played)
        sha256 = hashlib.sha256(graph).hexdigest()
        changes = {"experiment": experiment, "run": run, "graph_sha256": sha256}
        spec = played.model_copy(update=changes)
        SpecStore(self.client).publish(spec, graph, EPOCH)
        self.hold_lease(experiment, run)
        self.publish(spec)
        return spec

    def hold_lease(self, experiment: str, run: str) -> None:
        self.client.hset(Keys(experiment).lease, "run", run)

    def release_lease(self, experiment: str) -> None:
        self.client.delete(Keys(experiment).lease)

    def publish(self, spec: PlaySpec) -> int:
        self.versions += 1
        weights = {"scale": np.ones(1, np.float32)}
        WeightStore(self.client, spec.experiment).publish(
            WeightVersion(self.versions, 1, spec.run, 0, 0, spec.graph_sha256, weights)
        )
        return self.versions


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with connect(redis_url) as client:
        yield client


@pytest.fixture
def learners(client: redis.Redis, spec: Any, graph: Any) -> Learners:
    return Learners(client, spec, graph)


@pytest.fixture
def broker() -> Broker:
    return Broker()


@pytest.fixture
def make_player(redis_url: str, broker: Broker) -> Iterator[Callable[..., Player]]:
    players: list[Player] = []

    def make(**settings: Any) -> Player:
        given = Settings(broker_url="redis://unused", redis_url=redis_url, **settings)
        players.append(Player(given, seed=1, publisher=broker))
        return players[-1]

    yield make
    for player in players:
        player.close()


@pytest.fixture
def player(make_player: Callable[..., Player]) -> Player:
    return make_player()


def told(headers: list[Header]) -> list[str]:
    """The tasks that headers told the end of, in order."""
    return [ended for header in headers for ended in header.ended_tasks]


def task(spec: PlaySpec, name: str = "t1", budget_s: float = 0.3) -> PlayTask:
    return PlayTask(name, spec.experiment, spec.run, spec.version, budget_s)
