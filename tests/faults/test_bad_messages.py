"""Given messages of every bad kind among good ones: each is set aside with its reason."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from checker import judge
from cluster import ENDLESS, PRESET, Cluster
from kombu import Connection

from tinyqueue.bus.broker import Broker
from tinyqueue.bus.publisher import ExperiencePublisher, Outgoing, PublishOutcome
from tinyqueue.bus.topology import dead_letter_queue
from tinyqueue.data.identity import new_id
from tinyqueue.data.session import SessionBatch
from tinyqueue.player.stage import Stage
from tinyqueue.policy.runner import PolicyRunner
from tinyqueue.store.specs import SpecStore
from tinyqueue.store.weights import WeightStore
from tinyqueue.wire.evaluations import EVALUATION_TYPE
from tinyqueue.wire.sessions import SESSION_TYPE, encode_session

pytestmark = [pytest.mark.integration, pytest.mark.faults]

USER = "guest"
MIB = 2**20


@dataclass(frozen=True)
class Bad:
    """A session that was good before it was damaged."""

    what: str
    reason: str
    batch: Callable[[SessionBatch], SessionBatch] = lambda batch: batch
    message: Callable[[Outgoing], Outgoing] = lambda outgoing: outgoing


def array(name: str, change: Callable[[Any], Any]) -> Callable[[SessionBatch], SessionBatch]:
    def damaged(batch: SessionBatch) -> SessionBatch:
        value = getattr(batch, name)
        if isinstance(value, dict):
            changed: Any = {path: change(a.copy()) for path, a in value.items()}
        else:
            changed = change(value.copy())
        return replace(batch, **{name: changed})

    return damaged


def header(**changes: Any) -> Callable[[SessionBatch], SessionBatch]:
    return lambda batch: replace(batch, header=replace(batch.header, **changes))


def said(**changes: Any) -> Callable[[Outgoing], Outgoing]:
    return lambda outgoing: replace(outgoing, headers={**outgoing.headers, **changes})


def body(change: Callable[[bytes], bytes]) -> Callable[[Outgoing], Outgoing]:
    return lambda outgoing: replace(outgoing, body=change(outgoing.body))


def first_is(value: float) -> Callable[[Any], Any]:
    def change(a: Any) -> Any:
        a.flat[0] = value
        return a

    return change


def half(outgoing: Outgoing) -> Outgoing:
    torn = outgoing.body[: len(outgoing.body) // 2]
    return replace(outgoing, body=torn, headers={**outgoing.headers, "raw_bytes": len(torn)})


BAD = [
    Bad("half a body", "compression", message=body(lambda b: b[: len(b) // 2])),
    Bad("no body", "compression", message=body(lambda b: b"")),
    Bad("half a body that says so", "malformed", message=half),
    Bad("another body", "malformed", message=body(lambda b: b"\xc1" * len(b))),
    Bad("an oversized body", "too-large", message=body(lambda b: b + bytes(16 * MIB))),
    Bad("a claim to unpack to a gigabyte", "too-large", message=said(raw_bytes=1024 * MIB)),
    Bad("an unknown codec", "compression", message=said(codec="gzip")),
    Bad("a wrong length", "compression", message=said(raw_bytes=7)),
    Bad("another schema", "schema", message=said(schema=2)),
    Bad("no headers", "header", message=lambda o: replace(o, headers={})),
    Bad("headers that lie about ticks", "header", message=said(ticks=999)),
    Bad("headers that lie about the player", "header", message=said(player="somebody")),
    Bad("another content type", "type", message=lambda o: replace(o, content_type="text/plain")),
    Bad("another id than the batch's", "malformed", message=lambda o: replace(o, message_id="1")),
    Bad("another experiment", "experiment", batch=header(experiment="another")),
    Bad("a version of the future", "version", batch=header(policy_version=10**9)),
    Bad("float64 observations", "dtype", batch=array("observations", lambda a: a.astype("f8"))),
    Bad("a tick too few", "shape", batch=array("rewards", lambda a: a[:-1])),
    Bad(
        "an unknown array",
        "unknown",
        batch=lambda b: replace(b, extras={**b.extras, "x": b.rewards}),
    ),
    Bad("no log-probabilities", "missing", batch=lambda b: replace(b, extras={})),
    Bad("NaN in observations", "not-finite", batch=array("observations", first_is(np.nan))),
    Bad("an observation that overflows", "too-far", batch=array("observations", first_is(3e38))),
    Bad("a log-probability of no policy", "too-far", batch=array("extras", first_is(-1e30))),
    Bad("a NaN reward", "reward", batch=array("rewards", first_is(np.nan))),
    Bad("an action outside the space", "range", batch=array("actions", first_is(7))),
    Bad("a probability above 1", "probability", batch=array("extras", first_is(0.7))),
    Bad("nothing valid", "autoreset", batch=array("valid", lambda a: a & False)),
]


def test_bad_messages_are_set_aside_with_their_reasons_and_neighbours_are_trained_on(
    cluster: Cluster,
) -> None:
    worker, learner = cluster.worker(), cluster.learner(*ENDLESS)
    cluster.trains_on(1)
    store = SpecStore(cluster.redis)
    spec = store.load(PRESET)
    assert spec is not None
    weights = WeightStore(cluster.redis, PRESET).fetch()
    graph = store.graph(PRESET, spec.graph_sha256)
    stage = Stage(spec, user=USER, player="test", seed=1)
    runner = PolicyRunner(graph, weights.arrays, weights.version)
    publisher = ExperiencePublisher(
        Broker(cluster.broker_url), USER, queue_batches=2, learner_is_alive=lambda _: True
    )

    published: dict[str, Outgoing] = {}
    for bad in BAD:
        outgoing = bad.message(as_message(bad.batch(stage.play(runner, new_id()))))
        assert publisher.publish_patiently(outgoing, for_s=20) is PublishOutcome.CONFIRMED
        published[bad.what] = outgoing
    no_evaluation = replace(
        as_message(stage.play(runner, new_id())), content_type=EVALUATION_TYPE, is_evaluation=True
    )
    assert publisher.publish_patiently(no_evaluation, for_s=20) is PublishOutcome.CONFIRMED
    other_run = as_message(header(run=new_id())(stage.play(runner, new_id())))
    assert publisher.publish_patiently(other_run, for_s=20) is PublishOutcome.CONFIRMED
    publisher.close()

    cluster.trains_on()
    count = cluster.until(
        lambda: settled(cluster.status()["count"], len(BAD) + 1), "all are counted"
    )
    assert count is not None
    expected = [bad.reason for bad in BAD]
    assert count["set_aside"] == {reason: expected.count(reason) for reason in expected}
    assert count["dropped"]["other run"] == 1
    assert count["attempted"] == (
        count["accepted"] + len(BAD) + sum(count["dropped"].values()) + count["missing"]
    )
    dead = dict(dead_letters(cluster))
    reasons = {published[bad.what].body: bad.reason for bad in BAD}
    assert {body: dead.get(body) for body in reasons} == reasons
    assert dead[no_evaluation.body] == "too-large"
    assert len(dead) == len(BAD) + 1

    worker.terminate()
    worker.wait()
    cluster.until(lambda: not judge(cluster.journal, cluster.run_path()).lost, "all has a fate")
    learner.terminate()
    assert learner.wait() == 0, learner.printed
    own = frozenset(f"{stage.id}:{n}" for n in range(len(BAD) + 2))
    judge(cluster.journal, cluster.run_path(), others=own).must_balance()


def as_message(batch: SessionBatch) -> Outgoing:
    encoded = encode_session(batch)
    return Outgoing(
        experiment=PRESET,
        body=encoded.body,
        content_type=SESSION_TYPE,
        message_id=batch.header.batch_id,
        correlation_id=batch.header.task,
        headers=encoded.headers,
    )


def settled(count: dict[str, Any], wanted: int) -> dict[str, Any] | None:
    by_reason = sum(count["set_aside"].values()) + count["dropped"].get("other run", 0)
    return count if by_reason >= wanted else None


def dead_letters(cluster: Cluster) -> Iterator[tuple[bytes, str]]:
    """Body and reason of what was set aside."""
    with Connection(cluster.broker_url) as connection, connection.channel() as channel:
        queue = dead_letter_queue()(channel)
        give_up_s = time.monotonic() + 5
        while (message := queue.get(no_ack=True)) is not None and time.monotonic() < give_up_s:
            body: Any = message.body or b""
            yield bytes(body), message.headers["reason"]
