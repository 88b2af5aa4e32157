from __future__ import annotations

import threading

import numpy as np
import pytest
import redis

from tinyqueue.errors import MessageError, MissingVersionError, StaleEpochError
from tinyqueue.store.client import connect
from tinyqueue.store.keys import Keys
from tinyqueue.store.lease import LearnerLease
from tinyqueue.store.weights import WeightStore
from tinyqueue.wire.weights import WeightVersion

pytestmark = pytest.mark.integration

KEYS = Keys("cartpole")
RUN = "a" * 32


def weights(version: int, epoch: int = 1, value: float | None = None) -> WeightVersion:
    filled = np.full((3, 2), version if value is None else value, np.float32)
    return WeightVersion(version, epoch, RUN, version * 2, version * 100, "0" * 64, {"w": filled})


@pytest.fixture
def store(client: redis.Redis) -> WeightStore:
    return WeightStore(client, "cartpole")


def test_without_a_publish_there_is_no_head_and_nothing_to_fetch(store: WeightStore) -> None:
    assert store.head() == -1
    assert store.fetch_if_newer(-1) is None
    with pytest.raises(MissingVersionError, match="no weights in the store yet"):
        store.fetch()


def test_a_published_version_is_the_head_and_comes_back_equal(store: WeightStore) -> None:
    store.publish(weights(0))
    found = store.fetch()
    assert store.head() == 0
    assert (found.version, found.epoch, found.run) == (0, 1, RUN)
    assert (found.updates, found.env_steps, found.graph_sha256) == (0, 0, "0" * 64)
    np.testing.assert_array_equal(found.arrays["w"], np.zeros((3, 2), np.float32))
    assert found.arrays["w"].dtype == np.float32


def test_only_a_newer_head_is_fetched(store: WeightStore) -> None:
    store.publish(weights(4))
    store.publish(weights(5))
    newer = store.fetch_if_newer(4)
    assert newer is not None
    assert newer.version == 5
    assert store.fetch_if_newer(5) is None
    assert store.fetch_if_newer(6) is None
    assert store.fetch(4).version == 4


def test_asking_for_newer_weights_in_vain_costs_one_get(
    store: WeightStore, client: redis.Redis
) -> None:
    store.publish(weights(5))
    client.config_resetstat()
    store.fetch_if_newer(5)
    assert client.info("commandstats")["cmdstat_get"]["calls"] == 1


def test_a_lower_epoch_is_refused_and_changes_nothing(store: WeightStore) -> None:
    store.publish(weights(1, epoch=2))
    with pytest.raises(StaleEpochError, match="epoch is 1, and one of epoch 2"):
        store.publish(weights(2, epoch=1))
    assert store.head() == 1
    with pytest.raises(MissingVersionError):
        store.fetch(2)


@pytest.mark.parametrize("epoch", [1, 2])
def test_a_version_that_is_not_above_the_head_is_refused(store: WeightStore, epoch: int) -> None:
    store.publish(weights(7))
    with pytest.raises(StaleEpochError, match="already 7"):
        store.publish(weights(6, epoch))
    with pytest.raises(StaleEpochError, match="already 7"):
        store.publish(weights(7, epoch, value=-1.0))
    assert store.fetch().arrays["w"][0, 0] == 7.0


def test_the_same_publish_again_is_taken_as_done(store: WeightStore) -> None:
    store.publish(weights(7))
    store.publish(weights(7))
    assert store.head() == 7


def test_a_lease_acquired_since_refuses_its_predecessors_publish(
    store: WeightStore, client: redis.Redis
) -> None:
    store.publish(weights(1, epoch=1))
    lease = LearnerLease(client, "cartpole", "b" * 32, "successor")
    assert lease.acquire(0) == 2
    with pytest.raises(StaleEpochError):
        store.publish(weights(2, epoch=1))
    lease.release()


@pytest.mark.parametrize("epoch", [1, 5])
def test_a_lease_of_another_run_refuses_although_redis_has_lost_the_epochs(
    store: WeightStore, client: redis.Redis, epoch: int
) -> None:
    client.flushall()
    lease = LearnerLease(client, "cartpole", "b" * 32, "successor")
    assert lease.acquire(0) == 1
    with pytest.raises(StaleEpochError):
        store.publish(weights(2, epoch))
    assert store.head() == -1
    lease.release()


def test_the_eight_newest_stay_and_older_ones_leave_within_thirty_seconds(
    store: WeightStore, client: redis.Redis
) -> None:
    for version in (*range(5), *range(1000, 1005)):
        store.publish(weights(version))
    lifetimes = {v: client.ttl(KEYS.weights(v)) for v in (0, 1, 2, 3, 4, 1000, 1004)}
    assert 28 <= lifetimes.pop(0) <= 30
    assert 28 <= lifetimes.pop(1) <= 30
    assert set(lifetimes.values()) == {-1}


def test_a_pinned_version_outlives_its_leaving(store: WeightStore, client: redis.Redis) -> None:
    store.publish(weights(0))
    store.pin(0, 600)
    for version in range(1, 10):
        store.publish(weights(version))
    assert 590 < client.ttl(KEYS.weights(0)) <= 600
    assert 28 <= client.ttl(KEYS.weights(1)) <= 30


def test_a_pin_lengthens_what_is_already_leaving_and_never_shortens(
    store: WeightStore, client: redis.Redis
) -> None:
    for version in range(9):
        store.publish(weights(version))
    store.pin(0, 600)
    store.pin(0, 5)
    assert client.ttl(KEYS.weights(0)) > 590
    assert client.ttl(KEYS.pin(0)) > 590
    store.pin(8, 5)
    assert client.ttl(KEYS.weights(8)) == -1


def test_what_is_gone_cannot_be_pinned_or_fetched(store: WeightStore) -> None:
    with pytest.raises(MissingVersionError, match="cannot be pinned"):
        store.pin(3, 60)
    with pytest.raises(MissingVersionError, match="version 3"):
        store.fetch(3)


def test_a_head_whose_weights_are_lost_is_missing_rather_than_waited_for(
    store: WeightStore, client: redis.Redis
) -> None:
    store.publish(weights(3))
    client.delete(KEYS.weights(3))
    with pytest.raises(MissingVersionError, match="the head"):
        store.fetch()


def test_after_flushall_the_next_version_is_published_as_before(
    store: WeightStore, client: redis.Redis
) -> None:
    store.publish(weights(3))
    client.flushall()
    store.publish(weights(4))
    assert store.head() == 4
    assert client.get(KEYS.epoch) == b"1"


def test_flipped_bits_and_swapped_versions_are_refused(
    store: WeightStore, client: redis.Redis
) -> None:
    store.publish(weights(1))
    store.publish(weights(2))
    client.copy(KEYS.weights(1), KEYS.weights(2), replace=True)
    with pytest.raises(MessageError, match="version 1 under the key of 2"):
        store.fetch()
    body = client.get(KEYS.weights(1))
    assert isinstance(body, bytes)
    client.set(KEYS.weights(1), body[:-1] + bytes([body[-1] ^ 1]))
    with pytest.raises(MessageError) as caught:
        store.fetch(1)
    assert caught.value.reason == "hash"


def test_a_reader_sees_whole_and_rising_versions_while_they_are_published(
    store: WeightStore, redis_url: str
) -> None:
    store.publish(weights(0))
    seen: list[int] = []
    problems: list[str] = []
    ended = threading.Event()

    def read() -> None:
        with connect(redis_url) as client:
            mine, last = WeightStore(client, "cartpole"), -1
            while not ended.is_set():
                found = mine.fetch_if_newer(last)
                if found is not None:
                    if found.version <= last or (found.arrays["w"] != found.version).any():
                        problems.append(f"{found.version} after {last}")
                    last = found.version
                    seen.append(last)

    reader = threading.Thread(target=read)
    reader.start()
    for version in range(1, 400):
        store.publish(weights(version))
    ended.set()
    reader.join()
    assert problems == []
    assert len(seen) > 20
