"""Given messages that no player would send: set aside with their reason, and neighbours trained."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from cluster import ENDLESS, PRESET, Cluster

from tinyqueue.bus.broker import Broker
from tinyqueue.bus.messages import Outgoing
from tinyqueue.bus.publisher import ExperiencePublisher, Outcome
from tinyqueue.data.identity import new_id
from tinyqueue.data.session import Header, SessionBatch
from tinyqueue.wire.sessions import SESSION_TYPE, encode_session

pytestmark = pytest.mark.faults


def test_poison_is_set_aside_and_its_neighbours_are_trained(cluster: Cluster) -> None:
    cluster.worker()
    cluster.learner(*ENDLESS)
    cluster.trains_on(within_s=90)
    run, version = cluster.status()["run"], cluster.status()["policy_version"]
    good = session(run, version)
    poison = {
        "malformed": encoded(good, cut=100),
        "not-finite": encoded(with_nan(good)),
        "dtype": encoded(replace(good, rewards=good.rewards.astype(np.float64))),
        "shape": encoded(session(run, version, ticks=8)),
        "version": encoded(session(run, version + 1_000_000)),
        "type": replace(encoded(good), content_type="application/x-python-pickle"),
    }

    publisher = ExperiencePublisher(
        Broker(cluster.broker_url),
        "guest" if cluster.broker_url.startswith("amqp") else "local",
        queue_batches=2,
        learner_is_alive=lambda experiment: True,
    )
    for message in poison.values():
        assert publisher.publish_patiently(message, for_s=20) is Outcome.CONFIRMED
    publisher.close()

    cluster.trains_on()
    set_aside = cluster.until(lambda: all_of(cluster, len(poison)), 20, "all are set aside")
    assert set_aside == dict.fromkeys(poison, 1)
    assert cluster.status()["count"]["unbalanced"] == 0


def all_of(cluster: Cluster, count: int) -> dict[str, int] | None:
    found: dict[str, int] = cluster.status()["count"]["set_aside"]
    return found if sum(found.values()) >= count else None


def session(run: str, version: int, ticks: int = 32, slots: int = 32) -> SessionBatch:
    """A batch as a player of CartPole would send it, but for what the test changes."""
    header = Header(
        experiment=PRESET,
        run=run,
        stage=new_id(),
        n=0,
        user="test",
        player="test:1",
        policy_version=version,
        spec_version=1,
    )
    flags = np.zeros((ticks, slots), bool)
    return SessionBatch(
        header=header,
        observations={"": np.zeros((ticks + 1, slots, 4), np.float32)},
        actions={"": np.zeros((ticks, slots), np.uint8)},
        rewards=np.ones((ticks, slots), np.float32),
        terminated=flags,
        truncated=flags,
        valid=~flags,
        extras={"behaviour_log_prob": np.full((ticks, slots), -0.7, np.float32)},
    )


def with_nan(batch: SessionBatch) -> SessionBatch:
    rewards = batch.rewards.copy()
    rewards[3, 4] = np.nan
    return replace(batch, header=replace(batch.header, stage=new_id()), rewards=rewards)


def encoded(batch: SessionBatch, cut: int = 0) -> Outgoing:
    batch = replace(batch, header=replace(batch.header, stage=new_id()))
    found = encode_session(batch)
    return Outgoing(
        experiment=PRESET,
        body=bytes(found.body)[: len(found.body) - cut],
        content_type=SESSION_TYPE,
        message_id=batch.header.batch_id,
        correlation_id="",
        headers=found.headers,
    )
