"""Given values that a contract accepts, and that make losses infinite: only their batches go."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from cluster import ENDLESS, PRESET, Cluster

from tinyqueue.bus.broker import Broker
from tinyqueue.bus.publisher import ExperiencePublisher, Outgoing, PublishOutcome
from tinyqueue.data.identity import new_id
from tinyqueue.ledger.session_log import SessionLog
from tinyqueue.player.stage import Stage
from tinyqueue.policy.runner import PolicyRunner
from tinyqueue.store.specs import SpecStore
from tinyqueue.store.weights import WeightStore
from tinyqueue.wire.sessions import SESSION_TYPE, encode_session

pytestmark = [pytest.mark.integration, pytest.mark.faults]

BATCHES = 12
REPLAY = "cartpole-dqn"
# The square of such a reward is infinite; nobody who sets this bound is protected by it.
WORDS = [*ENDLESS, "--set", "learner.max_abs_reward=1e38"]
ERRORS_SQUARED = ["--set", "algorithm.huber=false", "--set", "replay.minimum_steps=2000"]
SAID = "it made the loss of an update infinite or NaN; training goes on without it (player test"


def poison(cluster: Cluster, experiment: str) -> set[str]:
    """Publishes batches whose rewards are 1e30, and returns their ids."""
    store = SpecStore(cluster.redis)
    spec = store.load(experiment)
    assert spec is not None
    weights = WeightStore(cluster.redis, experiment).fetch()
    runner = PolicyRunner(
        store.graph(experiment, spec.graph_sha256), weights.arrays, weights.version
    )
    stage = Stage(spec, user="guest", player="test", seed=1)
    # Under a limit above that of the worker, which keeps the queue at its own.
    publisher = ExperiencePublisher(
        Broker(cluster.broker_url),
        "guest",
        queue_batches=spec.queue_batches + BATCHES,
        learner_is_alive=lambda _: True,
    )
    ids = set()
    for _ in range(BATCHES):
        batch = stage.play(runner, new_id())
        batch = replace(batch, rewards=np.full_like(batch.rewards, 1e30))
        encoded = encode_session(batch)
        outgoing = Outgoing(
            experiment=experiment,
            body=encoded.body,
            content_type=SESSION_TYPE,
            message_id=batch.header.batch_id,
            correlation_id=batch.header.task,
            headers=encoded.headers,
        )
        confirmed = publisher.publish_patiently(outgoing, for_s=30)
        assert confirmed is PublishOutcome.CONFIRMED
        ids.add(batch.header.batch_id)
    publisher.close()
    return ids


def test_a_stream_sets_them_aside_one_after_another(cluster: Cluster) -> None:
    cluster.worker()
    learner = cluster.learner(*WORDS)
    cluster.trains_on(1)

    poison(cluster, PRESET)

    def is_settled() -> bool:
        return cluster.status()["count"]["set_aside"] == {"not-finite": BATCHES}

    cluster.until(is_settled, "each has been set aside")
    cluster.trains_on()
    assert SAID in learner.printed
    learner.terminate()
    assert learner.wait() == 0, learner.printed


@pytest.mark.parametrize("services", ["embedded"], indirect=True)
def test_a_replay_takes_them_out_of_the_log_too(cluster: Cluster) -> None:
    # Given a learner whose replay has them among others
    cluster.worker()
    learner = cluster.learner(*WORDS, *ERRORS_SQUARED, target=REPLAY)
    cluster.trains_on(1, experiment=REPLAY)
    ids = poison(cluster, REPLAY)

    # When it samples them
    cluster.until(
        lambda: cluster.status(REPLAY)["count"]["withdrawn"] >= BATCHES, "each has been taken out"
    )
    cluster.trains_on(experiment=REPLAY)

    # Then none is left, and a restart does not meet them
    with SessionLog(cluster.run_path(REPLAY) / "sessions.db") as log:
        assert ids.isdisjoint(row.batch_id for row in log.rows())
        assert log.skipped == {}
    count = cluster.status(REPLAY)["count"]
    assert (count["unbalanced"], count["set_aside"]) == (0, {})
    assert SAID in learner.printed
    learner.kill()
    again = cluster.learner(*WORDS, *ERRORS_SQUARED, target=REPLAY)
    cluster.trains_on(experiment=REPLAY)
    assert "were left out" not in again.printed
    again.terminate()
    assert again.wait() == 0, again.printed
