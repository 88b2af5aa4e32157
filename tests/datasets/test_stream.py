"""Given a real learner and players: a second reader sees what they play, and takes none of it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from cluster import ENDLESS, PRESET, Cluster
from pydantic import SecretStr

from tinyqueue.bus.broker import Broker
from tinyqueue.bus.publisher import ExperiencePublisher, Outgoing, PublishOutcome
from tinyqueue.datasets import Stream
from tinyqueue.errors import ConfigError
from tinyqueue.settings import Settings

pytestmark = pytest.mark.integration


@pytest.fixture
def settings(cluster: Cluster) -> Settings:
    return Settings(
        broker_url=SecretStr(cluster.broker_url), redis_url=SecretStr(cluster.redis_url)
    )


@pytest.mark.parametrize("services", ["rabbitmq"], indirect=True)
def test_a_stream_reads_along_and_the_learner_misses_nothing(
    cluster: Cluster, settings: Settings
) -> None:
    cluster.worker(children=1, queues="play")
    learner = cluster.learner("--json", *ENDLESS)
    cluster.trains_on(1)

    with Stream(PRESET, settings=settings, buffer_batches=64, timeout_s=60.0) as stream:
        ids = []
        for _ in range(10):
            batch = stream.session()
            assert batch.header.run == stream.spec.run
            ids.append(batch.header.batch_id)
        assert len(set(ids)) == 10
        items = stream.transitions(256, gamma=0.9)
        batch = items[0]
        assert batch["observations"].shape == batch["next_observations"].shape == (256, 4)
        assert set(np.unique(batch["discounts"])) <= {np.float32(0.9), np.float32(0.0)}
        assert not stream.skipped

    learner.terminate()
    assert learner.wait() == 0, learner.printed
    found = json.loads(cluster.tinyqueue("info", str(cluster.run_path()), "--json").stdout)
    count = found[PRESET]["count"]
    # What the stream read was accepted by the learner, as every batch before and after.
    assert count["missing"] <= 4
    assert not count["set_aside"]


@pytest.mark.parametrize("services", ["rabbitmq"], indirect=True)
def test_a_stream_is_not_bound_while_there_is_no_learners_queue(
    cluster: Cluster, settings: Settings
) -> None:
    """A message then has no route, as without it: its sender learns that there is no learner."""
    learner = cluster.learner("--max-env-steps", "1000000000")
    cluster.until(lambda: cluster.redis.exists(f"tinyqueue:{PRESET}:head"), "weights")
    with Stream(PRESET, settings=settings, timeout_s=0.5) as stream:
        assert stream.num_batches is None
        learner.terminate()
        learner.wait()
        user = Settings(broker_url=SecretStr(cluster.broker_url)).login
        publisher = ExperiencePublisher(
            Broker(cluster.broker_url), user, queue_batches=2, learner_is_alive=lambda _: True
        )
        message = Outgoing(PRESET, b"x", "text/plain", "1", "", {})
        cluster.until(
            lambda: publisher.publish(message) is PublishOutcome.NO_LEARNER, "no route", 30.0
        )
        publisher.close()


@pytest.mark.parametrize("services", ["embedded"], indirect=True)
def test_on_redis_there_is_no_second_reader(cluster: Cluster, settings: Settings) -> None:
    learner = cluster.learner("--max-env-steps", "1000000000")
    cluster.until(lambda: cluster.redis.exists(f"tinyqueue:{PRESET}:head"), "weights")
    with pytest.raises(ConfigError, match=r"datasets\.SessionLog\(RUN\)"):
        Stream(PRESET, settings=settings)
    learner.terminate()


@pytest.mark.parametrize("services", ["rabbitmq"], indirect=True)
def test_an_experiment_that_nobody_trains_is_refused(cluster: Cluster, settings: Settings) -> None:
    with pytest.raises(ConfigError, match="no learner has published 'nothing'"):
        Stream("nothing", settings=settings)
