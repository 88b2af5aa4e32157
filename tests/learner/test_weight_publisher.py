"""Weights that players find, whatever happens to the store."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from tinyqueue.errors import LeaseLostError, ServiceUnreachableError
from tinyqueue.learner.weight_publisher import WeightPublisher
from tinyqueue.local.redis_server import RedisServer
from tinyqueue.store.client import connect
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
    def make(client, check=lambda: None):
        weights, specs = WeightStore(client, "pole"), SpecStore(client)
        return WeightPublisher(weights, specs, spec, GRAPH, check)

    return make


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

        server.start()
        publisher.heal()
        assert WeightStore(client, "pole").head() == 7
        client.close()


def test_nothing_is_published_after_the_lease(client, make_publisher):
    def check():
        raise LeaseLostError("replaced")

    publisher = make_publisher(client, check)

    for publish in (publisher.publish_spec, lambda: publisher.publish(version(1)), publisher.heal):
        with pytest.raises(LeaseLostError):
            publish()

    assert client.keys() == []
