from __future__ import annotations

import hashlib
from typing import Any

import pytest
import redis

from tinyqueue.errors import ConfigError, MessageError, MissingVersionError, StaleEpochError
from tinyqueue.experiment.environment import EnvironmentConfig
from tinyqueue.experiment.play_spec import PlaySpec
from tinyqueue.store.keys import Keys
from tinyqueue.store.lease import LearnerLease
from tinyqueue.store.specs import SpecStore

pytestmark = pytest.mark.integration

FIRST, SECOND = b"first graph", b"second graph"


def sha(graph: bytes) -> str:
    return hashlib.sha256(graph).hexdigest()


def spec(graph: bytes = FIRST, **changes: Any) -> PlaySpec:
    leaf = {"dtype": "float32", "shape": [4], "n": 0, "low": None, "high": None}
    action = {"dtype": "uint8", "shape": [], "n": 2, "low": None, "high": None}
    given: dict[str, Any] = {
        "experiment": "cartpole",
        "run": "0" * 32,
        "environment": EnvironmentConfig(id="CartPole-v1", max_episode_steps=None),
        "observation_space": {"": leaf},
        "action_space": {"": action},
        "head": "categorical",
        "ticks": 32,
        "slots": 64,
        "graph_sha256": sha(graph),
    }
    return PlaySpec(**{**given, **changes})


@pytest.fixture
def store(client: redis.Redis) -> SpecStore:
    return SpecStore(client)


def test_an_experiment_that_was_never_trained_has_no_spec(store: SpecStore) -> None:
    assert store.load("cartpole") is None
    assert store.experiments() == []


def test_a_published_spec_and_its_graph_come_back_equal(store: SpecStore) -> None:
    store.publish(spec(), FIRST)
    loaded = store.load("cartpole")
    assert loaded == spec()
    assert loaded is not None
    assert loaded.version == spec().version
    assert store.graph("cartpole", sha(FIRST)) == FIRST


def test_experiments_are_listed_in_alphabetical_order(store: SpecStore) -> None:
    for name in ("pong", "acrobot", "pong"):
        store.publish(spec(experiment=name), FIRST)
    assert store.experiments() == ["acrobot", "pong"]


def test_a_graph_of_another_hash_is_not_published(store: SpecStore) -> None:
    with pytest.raises(MessageError, match="sha256"):
        store.publish(spec(FIRST), SECOND)
    assert store.load("cartpole") is None


def test_a_replaced_graph_is_kept_ten_minutes_and_the_new_one_without_limit(
    store: SpecStore, client: redis.Redis
) -> None:
    store.publish(spec(FIRST), FIRST)
    store.publish(spec(SECOND), SECOND)
    keys = Keys("cartpole")
    assert 590 < client.ttl(keys.graph(sha(FIRST))) <= 600
    assert client.ttl(keys.graph(sha(SECOND))) == -1
    store.publish(spec(FIRST), FIRST)
    assert client.ttl(keys.graph(sha(FIRST))) == -1


def test_a_graph_that_is_gone_asks_to_load_the_spec_again(store: SpecStore) -> None:
    with pytest.raises(MissingVersionError, match="Load the experiment's spec again"):
        store.graph("cartpole", sha(FIRST))


def test_a_graph_with_a_flipped_bit_is_refused(store: SpecStore, client: redis.Redis) -> None:
    store.publish(spec(), FIRST)
    client.setbit(Keys("cartpole").graph(sha(FIRST)), 3, 1)
    with pytest.raises(MessageError) as caught:
        store.graph("cartpole", sha(FIRST))
    assert caught.value.reason == "hash"


def test_a_spec_of_another_schema_asks_for_equal_versions(
    store: SpecStore, client: redis.Redis
) -> None:
    client.set(Keys("cartpole").spec, '{"experiment": "cartpole", "newer": 1}')
    with pytest.raises(ConfigError, match="same tinyqueue version"):
        store.load("cartpole")


def test_a_learner_that_was_replaced_publishes_no_spec(
    store: SpecStore, client: redis.Redis
) -> None:
    """Frozen between its own check and the write, or under another run's lease without epochs."""
    lease = LearnerLease(client, "cartpole", "b" * 32, "successor")
    epoch = lease.acquire(4)
    store.publish(spec(run="b" * 32), FIRST, epoch)
    for run, earlier in (("0" * 32, epoch - 1), ("0" * 32, epoch), ("b" * 32, 0)):
        with pytest.raises(StaleEpochError, match="spec of 'cartpole' was refused"):
            store.publish(spec(SECOND, run=run), SECOND, earlier)
    client.delete(Keys("cartpole").epoch)
    with pytest.raises(StaleEpochError):
        store.publish(spec(SECOND), SECOND, epoch)
    assert store.load("cartpole") == spec(run="b" * 32)
    assert not client.exists(Keys("cartpole").graph(sha(SECOND)))
    assert client.ttl(Keys("cartpole").graph(sha(FIRST))) == -1
    lease.release()


def test_a_spec_that_cannot_be_read_is_replaced(store: SpecStore, client: redis.Redis) -> None:
    client.set(Keys("cartpole").spec, b"{}")
    store.publish(spec(), FIRST)
    assert store.load("cartpole") == spec()
