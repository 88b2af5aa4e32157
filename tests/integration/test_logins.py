"""Given RabbitMQ with the permissions of config/services, and two logins of the player's role."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from bus_ends import eventually
from kombu import Connection
from pole import contract as contract
from pole import make_batch as make_batch

from tinyqueue.algorithms.base import Update
from tinyqueue.bus.broker import Broker
from tinyqueue.bus.consumer import ExperienceConsumer
from tinyqueue.bus.feed import TaskFeed
from tinyqueue.bus.publisher import ExperiencePublisher, Outgoing, PublishOutcome
from tinyqueue.bus.rabbitmq_publishing import RabbitmqExperience
from tinyqueue.bus.topology import EXPERIENCE_EXCHANGE, dead_letter_queue
from tinyqueue.data.identity import new_id
from tinyqueue.data.session import Drop, SessionBatch
from tinyqueue.experience.setbacks import Setbacks
from tinyqueue.experience.stream_source import StreamExperience
from tinyqueue.learner.ingest import Ingest
from tinyqueue.ledger.ledger import Ledger
from tinyqueue.local.rabbitmq_node import RabbitmqNode
from tinyqueue.wire.contract import Contract
from tinyqueue.wire.sessions import SESSION_TYPE, encode_session

pytestmark = pytest.mark.integration

TABLE = Path(__file__).parents[2] / "config/services/rabbitmq-permissions.tsv"
VHOST = "logins"
ROLES = {"rack": "player", "mallory": "player", "chief": "learner"}
Make = Callable[..., SessionBatch]


@pytest.fixture(scope="module")
def node(rabbitmq: RabbitmqNode, tmp_path_factory: pytest.TempPathFactory) -> RabbitmqNode:
    """A node with the logins, whose passwords are their names: all in one command."""
    lines = [line.split("\t") for line in TABLE.read_text().splitlines() if line[0] != "#"]
    rows = {role: rest for role, *rest in lines}
    file = tmp_path_factory.mktemp("logins") / "definitions.json"
    permissions, keys = [], []
    for login, role in ROLES.items():
        _tags, configure, write, read, pattern = rows[role]
        whose = {"user": login, "vhost": VHOST}
        permissions.append({**whose, "configure": configure, "write": write, "read": read})
        keys.append({**whose, "exchange": EXPERIENCE_EXCHANGE, "write": pattern, "read": ".*"})
    definitions = {
        "vhosts": [{"name": VHOST}],
        "users": [
            {
                "name": login,
                "password_hash": hashed(login),
                "hashing_algorithm": "rabbit_password_hashing_sha256",
                "tags": "",
            }
            for login in ROLES
        ],
        "permissions": permissions,
        "topic_permissions": keys,
    }
    file.write_text(json.dumps(definitions))
    rabbitmq.ctl("import_definitions", str(file))
    # On busy cores a new vhost takes longer to start than a learner waits for an answer.
    url = f"amqp://chief:chief@127.0.0.1:{rabbitmq.port}/{VHOST}"
    with Connection(url, connect_timeout=60) as connection:
        connection.connect()
    return rabbitmq


def hashed(password: str) -> str:
    """A password as RabbitMQ keeps it."""
    salt = b"salt"
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


@pytest.fixture
def url(node: RabbitmqNode) -> Callable[[str], str]:
    return lambda login: f"amqp://{login}:{login}@127.0.0.1:{node.port}/{VHOST}"


class Learner:
    """Takes in, trains and commits, with the learner's login."""

    def __init__(self, url: str, path: Path, contract: Contract) -> None:
        self.ledger = Ledger(path, experiment="pole", run="1")
        self._experience = StreamExperience(1, self.ledger.knows, log_every_s=60.0)
        self.feed = TaskFeed(new_id, budget_s=2.0)
        self.trained: list[str] = []
        ingest = Ingest(
            contract,
            self.ledger,
            self._experience,
            max_policy_lag=None,
            head=lambda: 0,
            heard=self.feed.heard,
            failed=lambda *_: None,
            setbacks=Setbacks(lambda _: None, 60.0),
            evaluated=lambda _: None,
            check_lease=lambda: None,
        )
        self.consumer: ExperienceConsumer[Any] = ExperienceConsumer(
            Broker(url), "pole", ingest, queue_batches=64, prefetch=8
        )
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._train)
        self.consumer.start()
        self._thread.start()

    def _train(self) -> None:
        while not self._ending.is_set():
            taken = self._experience.take(timeout_s=0.05)
            if taken is not None:
                self.trained += [batch.header.batch_id for batch in taken.arrived]
                self._experience.trained(taken, Update({}))

    def close(self) -> None:
        self._ending.set()
        self._thread.join()
        self.consumer.stop(timeout_s=10)
        self.ledger.close()


@pytest.fixture
def learner(url: Callable[[str], str], tmp_path: Path, contract: Contract) -> Iterator[Learner]:
    learner = Learner(url("chief"), tmp_path / "sessions.db", contract)
    yield learner
    learner.close()


@pytest.fixture
def publish(url: Callable[[str], str], learner: Learner) -> Iterator[Callable[..., None]]:
    publishers = {
        login: ExperiencePublisher(
            Broker(url(login)), login, queue_batches=64, learner_is_alive=lambda _: True
        )
        for login in ("rack", "mallory")
    }

    def publish(login: str, batch: SessionBatch, **changes: Any) -> None:
        encoded = encode_session(batch)
        outgoing = Outgoing(
            "pole", encoded.body, SESSION_TYPE, batch.header.batch_id, "", encoded.headers
        )
        sent = replace(outgoing, **changes)
        assert publishers[login].publish_patiently(sent, for_s=30) is PublishOutcome.CONFIRMED

    yield publish
    for publisher in publishers.values():
        publisher.close()


def test_a_players_login_may_ask_how_full_a_queue_is(
    learner: Learner, url: Callable[[str], str]
) -> None:
    link = RabbitmqExperience(Broker(url("rack")), "rack")
    try:
        assert link.waiting("pole", 5.0) == 0
    finally:
        link.close()


def test_a_login_that_knows_anothers_ids_costs_it_nothing(
    learner: Learner,
    publish: Callable[..., None],
    make_batch: Make,
    url: Callable[[str], str],
) -> None:
    stage = new_id()
    mine = [make_batch(n, stage=stage, user="rack", player="host:1") for n in range(20)]
    publish("rack", mine[0])
    for n in range(1, 20):
        # The id of the next batch, before it is sent: sound, forged, as rubbish, and as dropped.
        drops = (Drop(n, "queue full", 20 - n),) if n < 20 else ()
        as_mallory = make_batch(n, stage=stage, user="mallory", player=f"ghost-{n}")
        after = make_batch(20, stage=stage, user="mallory", player="ghost", dropped=drops)
        publish("mallory", as_mallory)
        publish("mallory", mine[n])
        publish("mallory", mine[n], body=b"x", content_type="text/plain")
        publish("mallory", after)
        publish("rack", mine[n])

    def settled() -> int:
        # What comes while a message of the same id and login is in hand is not looked at.
        return learner.ledger.count().attempted + learner.consumer.duplicates

    eventually(lambda: settled() >= 20 + 19 * 4, within_s=60)
    count = learner.ledger.count()
    assert learner.trained == [batch.header.batch_id for batch in mine]
    assert (count.accepted, set(count.set_aside), settled()) == (20, {"login"}, 20 + 19 * 4)
    assert (count.missing, count.duplicates, dict(count.dropped)) == (0, 0, {})
    learner.feed.tick()
    assert learner.feed.players == 1
    with Connection(url("chief")) as connection:
        letters = dead_letter_queue()(connection.channel())
        assert letters.queue_declare(passive=True).message_count == sum(count.set_aside.values())
