"""Weights that are followed in the background, and never wait for."""

import hashlib
import time

import numpy as np
import pytest

from tinyqueue.bus.backoff import Reconnects
from tinyqueue.errors import ConfigError, MessageError, MissingVersionError, ServiceUnreachableError
from tinyqueue.player import policies
from tinyqueue.player.policies import NewestPolicy
from tinyqueue.policy.signature import require_playable
from tinyqueue.wire.weights import WeightVersion


class Store:
    """Gives ``newest`` when it is newer; raises what is in ``error``."""

    def __init__(self):
        self.newest = None
        self.error = None
        self.asked = 0
        self.run = "a-run"

    def fetch_if_newer(self, than):
        self.asked += 1
        if self.error:
            raise self.error
        newest = self.newest
        return newest if newest is not None and newest.version > than else None


def eventually(condition, within_s=5.0):
    deadline_s = time.monotonic() + within_s
    while not condition() and time.monotonic() < deadline_s:
        time.sleep(0.005)
    return condition()


@pytest.fixture
def store():
    return Store()


@pytest.fixture
def make_version(spec, graph):
    sha256 = hashlib.sha256(graph(spec("Countdown-v0", 4, 2))).hexdigest()

    def make(number, sha256=sha256, **arrays):
        arrays = arrays or {"scale": np.ones(1, np.float32)}
        return WeightVersion(number, 1, "a-run", 0, 0, sha256, arrays)

    return make


@pytest.fixture
def policy(spec, graph, store):
    played = spec("Countdown-v0", 4, 2)
    acting = graph(played)
    policy = NewestPolicy(
        acting,
        hashlib.sha256(acting).hexdigest(),
        "a-run",
        store.fetch_if_newer,
        lambda: store.run,
        lambda signature: require_playable(signature, played),
    )
    policy._retries = Reconnects(0.01, 0.01)
    yield policy
    policy.close()


def test_the_first_version_is_waited_for(policy, store, make_version):
    assert policy.newest(timeout_s=0.05) is None

    store.newest = make_version(3)

    assert policy.newest(timeout_s=5.0).version == 3


def test_a_newer_version_is_taken_without_waiting(policy, store, make_version):
    store.newest = make_version(3)
    policy.newest(timeout_s=5.0)

    store.newest = make_version(8, scale=np.full(1, 2.0, np.float32))

    assert eventually(lambda: policy.newest(0).version == 8)
    outputs, _ = policy.newest(0).run({"": np.full((1, 2), 3.0, np.float32)}, {})
    assert outputs["logits"].tolist() == [[0.0, 6.0]]


@pytest.mark.parametrize("error", [ServiceUnreachableError, MissingVersionError])
def test_trouble_keeps_the_weights_at_hand(policy, store, make_version, error):
    store.newest = make_version(3)
    policy.newest(timeout_s=5.0)

    store.error = error("away")
    asked = store.asked
    assert eventually(lambda: store.asked > asked + 2)
    assert policy.newest(0).version == 3

    store.newest, store.error = make_version(4), None
    assert eventually(lambda: policy.newest(0).version == 4)


def test_bytes_that_cannot_be_read_keep_the_weights_at_hand(policy, store, make_version):
    store.newest = make_version(3)
    policy.newest(timeout_s=5.0)

    store.error = MessageError("hash", "not what was published")
    asked = store.asked

    assert eventually(lambda: store.asked > asked + 2)
    assert policy.newest(0).version == 3


def test_weights_that_do_not_fit_the_graph_are_passed_over(policy, store, make_version):
    store.newest = make_version(3)
    policy.newest(timeout_s=5.0)

    store.newest = make_version(4, scale=np.ones(7, np.float32))
    asked = store.asked
    assert eventually(lambda: store.asked > asked + 2)
    assert policy.newest(0).version == 3

    store.newest = make_version(5)
    assert eventually(lambda: policy.newest(0).version == 5)
    with pytest.raises(ConfigError):
        policy.newest(0).with_weights({"scale": np.ones(7, np.float32)}, 6)


def test_weights_of_another_graph_are_not_for_this_stage(policy, store, make_version):
    store.newest = make_version(3, sha256="f" * 64)
    asked = store.asked

    assert eventually(lambda: store.asked > asked + 2)
    assert policy.newest(0) is None


def test_the_store_is_left_alone_while_nobody_plays(policy, store, make_version, monkeypatch):
    monkeypatch.setattr(policies, "IDLE_S", 0.05)
    store.newest = make_version(3)
    policy.newest(timeout_s=5.0)

    time.sleep(0.15)
    asked = store.asked
    time.sleep(0.15)
    assert store.asked == asked

    store.newest = make_version(4)
    assert eventually(lambda: policy.newest(0).version == 4)


def test_a_first_version_that_cannot_be_used_is_not_waited_for(policy, store):
    store.error = MessageError("too-large", "600000000 bytes of weights")
    began_s = time.monotonic()

    assert policy.newest(timeout_s=30.0) is None
    assert "600000000 bytes" in str(policy.refused)
    assert time.monotonic() - began_s < 10


def test_another_run_is_noticed_within_half_a_second_and_so_is_its_end(policy, store):
    assert policy.ended() == ""

    store.run = "b-run"
    assert eventually(lambda: policy.ended() == "other run")
    store.run = "a-run"
    assert eventually(lambda: policy.ended() == "")


def test_a_lease_that_is_missing_for_a_moment_ends_nothing(policy, store, monkeypatch):
    monkeypatch.setattr(policies, "GONE_S", 0.6)
    store.run = None
    began_s = time.monotonic()

    assert eventually(lambda: policy.ended() == "no learner")
    assert time.monotonic() - began_s > 0.3


def test_after_a_rest_the_learner_is_looked_at_before_anything_is_played(
    policy, store, monkeypatch
):
    monkeypatch.setattr(policies, "IDLE_S", 0.05)
    assert eventually(lambda: policy._is_resting)
    store.run = "b-run"

    assert policy.ended() == "other run"


def test_a_store_that_does_not_answer_ends_nothing(policy, store):
    store.run = "b-run"
    store.error = ServiceUnreachableError("away")
    policy._trained_run = store.fetch_if_newer.__get__(store)

    assert policy.ended() == ""


def test_closing_ends_the_thread(policy, store):
    policy.close()

    assert eventually(lambda: not policy._thread.is_alive())
    asked = store.asked
    time.sleep(0.05)
    assert store.asked == asked


def test_a_graph_that_does_not_fit_is_refused_with_both_shapes(spec, graph, store, make_version):
    # Given a graph for two actions, where there are three
    played = spec("Countdown-v0", 4, 2)
    acting = graph(played)
    path, leaf = next(iter(played.action_space.items()))
    other = played.model_copy(update={"action_space": {path: {**leaf, "n": 3}}})
    policy = NewestPolicy(
        acting,
        hashlib.sha256(acting).hexdigest(),
        "a-run",
        store.fetch_if_newer,
        lambda: store.run,
        lambda signature: require_playable(signature, other),
    )

    store.newest = make_version(3)

    assert policy.newest(timeout_s=5.0) is None
    assert isinstance(policy.refused, ConfigError)
    assert "output:logits as [B, 2], and the head reads [B, 3]" in str(policy.refused)
    policy.close()
