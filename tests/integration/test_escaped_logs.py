"""The logs of a real worker and learner hold no character that a terminal would obey."""

from __future__ import annotations

import json

import pytest
from cluster import ENDLESS, Cluster
from hostile import obeyed
from kombu import Connection

from tinyqueue.bus.broker import Broker
from tinyqueue.bus.messages import Outgoing, PublishOutcome
from tinyqueue.bus.publisher import ExperiencePublisher
from tinyqueue.wire.sessions import SESSION_TYPE

pytestmark = pytest.mark.integration

ESCAPES = "\x1b]0;pwned\x07\x1b[31m\u202e\u2028\x9b2J"
FORGED = "\nerror: forged"
SESSIONS = 3


def send_task(url: str) -> None:
    """A task as any learner's login may send it: id, name and arguments are its choice."""
    said = ESCAPES + FORGED
    for name in ("play-episode", said):
        headers = {"id": said, "task": name, "lang": said, "argsrepr": said, "kwargsrepr": said}
        body = json.dumps([[said], {said: said}, {}])
        with Connection(url) as connection:
            connection.Producer().publish(
                body,
                routing_key="play",
                headers=headers,
                content_type="application/json",
                content_encoding="utf-8",
                correlation_id=said,
            )


def send_session(url: str) -> None:
    publisher = ExperiencePublisher(
        Broker(url), "guest", queue_batches=2, learner_is_alive=lambda _: True
    )
    said = ESCAPES + FORGED
    for kind in (SESSION_TYPE, "text/plain", said):
        headers = {"player": said, "stage": said}
        outgoing = Outgoing("cartpole-impala", b"x", kind, said, said, headers)
        outcome = publisher.publish_patiently(outgoing, 30.0)
        assert outcome is PublishOutcome.CONFIRMED
    publisher.close()


def test_what_was_sent_is_escaped_in_the_logs_of_worker_and_learner(cluster: Cluster) -> None:
    worker = cluster.worker()
    learner = cluster.learner(*ENDLESS)
    cluster.trains_on(1)

    send_task(cluster.broker_url)
    send_session(cluster.broker_url)

    cluster.until(lambda: "]0;pwned" in worker.printed, "the worker quotes the task")
    cluster.until(
        lambda: learner.printed.count("message set aside") == SESSIONS, "the learner tells of each"
    )
    cluster.trains_on(1)
    for process in (worker, learner):
        assert obeyed(process.printed) == []
        assert not any(line.startswith("error: forged") for line in process.printed.splitlines())
    assert obeyed(cluster.tinyqueue("info").stdout) == []
