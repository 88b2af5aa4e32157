"""Weights that players find, whatever happens to the store."""

from __future__ import annotations

import contextlib
import hashlib
import threading
import time

import numpy as np
import pytest

from tinyqueue.errors import (
    LeaseLostError,
    LeaseNotRenewedError,
    ServiceUnreachableError,
    StaleEpochError,
)
from tinyqueue.learner.weight_publisher import WeightPublisher
from tinyqueue.local.redis_server import RedisServer
from tinyqueue.store.client import connect
from tinyqueue.store.keys import Keys
from tinyqueue.store.specs import SpecStore
from tinyqueue.store.weights import WeightStore
from tinyqueue.wire.weights import WeightVersion

GRAPH = b"an acting graph"


@pytest.fixture
def client(redis_url):
    with connect(redis_url) as client:
        yield client


@pytest.fixture
def make_publisher(spec):
    def make(client, check=lambda: None, replaced=lambda error: None, **told):
        weights, specs = WeightStore(client, "pole"), SpecStore(client)
        return WeightPublisher(
            weights, specs, spec, GRAPH, epoch=1, check=check, replaced=replaced, **told
        )

    return make


def suppressed(call):
    with contextlib.suppress(ServiceUnreachableError):
        call()


def version(number, epoch=1):
    sha256 = hashlib.sha256(GRAPH).hexdigest()
    arrays = {"w": np.full(3, number, np.float32)}
    return WeightVersion(number, epoch, "c" * 32, number, 10 * number, sha256, arrays)


def test_after_flushall_spec_graph_and_newest_version_are_published_anew(
    client, make_publisher, spec
):
    publisher = make_publisher(client)
    publisher.publish_spec()
    for number in (4, 5):
        publisher.publish(version(number))

    client.flushall()
    publisher.heal()

    store, specs = WeightStore(client, "pole"), SpecStore(client)
    assert store.fetch().arrays["w"].tolist() == [5.0] * 3
    assert specs.load("pole") == spec
    assert specs.graph("pole", spec.graph_sha256) == GRAPH


def test_a_version_that_is_on_its_way_is_not_told_as_lost(client, make_publisher, capfd):
    on_its_way, may_go_on = threading.Event(), threading.Event()

    def check():
        if threading.current_thread() is not threading.main_thread():
            on_its_way.set()
            may_go_on.wait(10)

    publisher = make_publisher(client, check)
    publisher.publish_spec()
    publisher.publish(version(4))
    training = threading.Thread(target=publisher.publish, args=(version(5),))
    training.start()
    assert on_its_way.wait(10)
    threading.Timer(0.2, may_go_on.set).start()
    publisher.heal()
    training.join()

    assert "has lost" not in capfd.readouterr().out
    client.delete(Keys("pole").head)
    publisher.heal()
    assert "has lost the weights" in capfd.readouterr().out


def test_a_graph_alone_that_is_evicted_is_published_again(client, make_publisher, spec):
    publisher = make_publisher(client)
    publisher.publish_spec()
    client.delete(Keys("pole").graph(spec.graph_sha256))

    publisher.heal()

    assert SpecStore(client).graph("pole", spec.graph_sha256) == GRAPH


def test_a_store_that_has_everything_is_left_alone(client, make_publisher):
    publisher = make_publisher(client)
    publisher.publish_spec()
    publisher.publish(version(4))
    before = {key: client.dump(key) for key in client.scan_iter()}

    publisher.heal()

    assert len(before) > 4
    assert {key: client.dump(key) for key in client.scan_iter()} == before


def test_before_the_first_version_only_the_spec_is_healed(client, make_publisher, spec):
    publisher = make_publisher(client)

    publisher.heal()

    assert SpecStore(client).load("pole") == spec
    assert WeightStore(client, "pole").head() == -1


@pytest.mark.integration
def test_a_store_that_is_away_does_not_stop_training_and_is_healed_when_back(
    tmp_path, make_publisher
):
    with RedisServer(tmp_path) as server:
        client = connect(server.redis_url)
        publisher = make_publisher(client)
        publisher.publish_spec()
        server.stop()

        publisher.publish(version(7))
        with pytest.raises(ServiceUnreachableError):
            publisher.heal()

        # From here on training does not even ask, and the newest is published when it is back.
        for number in range(8, 500):
            publisher.publish(version(number))
        with pytest.raises(ServiceUnreachableError):
            publisher.pin(499, 60.0)
        server.start()
        publisher.publish(version(500))
        assert WeightStore(client, "pole").head() == -1
        publisher.heal()
        assert WeightStore(client, "pole").head() == 500
        publisher.publish(version(501))
        publisher.pin(501, 60.0)
        assert WeightStore(client, "pole").fetch().version == 501
        client.close()


def test_a_store_that_answers_and_takes_no_writes_is_told_with_what_waits(client, make_publisher):
    told = []
    publisher = make_publisher(client, waiting=lambda number, why: told.append((number, why)))
    publisher.publish_spec()
    publisher.publish(version(1))
    assert told == []

    client.config_set("maxmemory", 1)
    try:
        for number in (2, 3, 4):
            publisher.publish(version(number))
    finally:
        client.config_set("maxmemory", 0)
    assert [number for number, _ in told] == [1, 2, 3]
    assert all("OOM" in why for _, why in told)

    publisher.heal()
    assert told[-1] == (0, "")
    assert WeightStore(client, "pole").head() == 4


def test_a_store_that_hangs_holds_up_training_once_and_not_while_it_is_healed(
    client, make_publisher, redis_url, monkeypatch
):
    monkeypatch.setattr("tinyqueue.store.client.TIMEOUT_S", 0.5)
    with connect(redis_url) as hurried:
        publisher = make_publisher(hurried)
        publisher.publish_spec()
        client.client_pause(1500)
        healing = threading.Thread(target=lambda: suppressed(publisher.heal))
        healing.start()
        began_s = time.monotonic()
        for number in range(1, 2000):
            publisher.publish(version(number))
        took_s = time.monotonic() - began_s
        healing.join()
        client.client_unpause()

        assert took_s < 1.0
        publisher.heal()
        assert WeightStore(client, "pole").head() == 1999


def test_versions_that_two_threads_publish_rise_and_none_is_called_stale(client, make_publisher):
    """Training publishes and rests in turn, while housekeeping heals."""
    publisher = make_publisher(client)
    publisher.publish_spec()
    stop, failed = threading.Event(), []

    def heal():
        while not stop.is_set():
            try:
                publisher.heal()
            except Exception as error:
                failed.append(error)

    thread = threading.Thread(target=heal)
    thread.start()
    for number in range(300):
        publisher.publish(version(number))
    stop.set()
    thread.join()
    publisher.heal()

    assert failed == []
    assert WeightStore(client, "pole").head() == 299


def test_while_the_lease_is_not_renewed_publishing_rests_and_then_the_newest_comes(
    client, make_publisher
):
    renewed = [True]

    def check():
        if not renewed[0]:
            raise LeaseNotRenewedError("not now")

    publisher = make_publisher(client, check)
    publisher.publish_spec()
    publisher.publish(version(1))
    renewed[0] = False
    publisher.publish(version(2))
    publisher.publish(version(3))
    with pytest.raises(LeaseNotRenewedError):
        publisher.heal()
    assert WeightStore(client, "pole").head() == 1
    renewed[0] = True
    publisher.heal()
    assert WeightStore(client, "pole").head() == 3


def test_a_spec_that_nobody_can_read_is_published_again(client, make_publisher, spec):
    publisher = make_publisher(client)
    publisher.publish_spec()
    client.set(Keys("pole").spec, b"{}")
    publisher.heal()
    assert SpecStore(client).load("pole") == spec


def test_nothing_is_published_after_the_lease(client, make_publisher):
    def check():
        raise LeaseLostError("replaced")

    told = []
    publisher = make_publisher(client, check, told.append)

    # Not raised where an update would be left half done.
    publisher.publish(version(1))
    for publish in (publisher.publish_spec, publisher.heal):
        with pytest.raises(LeaseLostError):
            publish()

    assert {str(error) for error in told} == {"replaced"}
    assert client.keys() == []


def test_a_version_that_the_store_refuses_is_told_and_not_raised(client, make_publisher):
    told = []
    publisher = make_publisher(client, replaced=told.append)
    publisher.publish(version(1))
    client.set(Keys("pole").epoch, 2)

    publisher.publish(version(2))

    assert [type(error) for error in told] == [StaleEpochError]
    assert WeightStore(client, "pole").head() == 1
