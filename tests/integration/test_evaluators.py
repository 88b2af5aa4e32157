"""Given logins with the permissions that are shipped: who may decide that a run is solved."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from amqp.exceptions import AccessRefused
from cluster import ENDLESS, PRESET, Cluster, Process
from role_logins import INVISIBLE, RoleLogins, role_logins, set_keys

from tinyqueue.bus.broker import Broker, new_channel
from tinyqueue.bus.messages import PublishOutcome
from tinyqueue.bus.rabbitmq_publishing import RabbitmqPublishing
from tinyqueue.bus.topology import (
    EVALUATE_QUEUE,
    EXPERIENCE_EXCHANGE,
    evaluation_routing_key,
    experience_exchange,
    experience_routing_key,
    task_queues,
)
from tinyqueue.local.rabbitmq_node import RabbitmqNode
from tinyqueue.settings import Settings
from tinyqueue.wire.evaluation_signs import SIGN_TYPE, EvaluationSign, encode_sign
from tinyqueue.wire.evaluations import EVALUATION_TYPE, EvaluationResult, encode_evaluation

pytestmark = pytest.mark.integration

EPISODES = 4
OFTEN = (
    "--set",
    f"evaluation.episodes={EPISODES}",
    "--set",
    "evaluation.slots=4",
    "--set",
    "evaluation.every_env_steps=1000",
    "--set",
    "evaluation.here_after_s=4",
)
"""An evaluation soon after the start, and again and again."""
MIB = 2**20


@pytest.fixture
def logins(rabbitmq: RabbitmqNode) -> Iterator[RoleLogins]:
    with role_logins(rabbitmq, "learner", "player", "evaluator") as logins:
        # As scripts/declare-queues.py does: workers may not.
        with Broker(logins.url("learner")).open() as connection:
            for entity in (experience_exchange(), *task_queues(Settings())):
                bound: Any = entity(new_channel(connection))
                bound.declare()
        yield logins


@pytest.fixture
def cluster(logins: RoleLogins, redis_url: str, tmp_path: Path) -> Iterator[Cluster]:
    cluster = Cluster(logins.url("learner"), redis_url, tmp_path / "cluster")
    yield cluster
    cluster.stop()


def worker(cluster: Cluster, logins: RoleLogins, role: str, queues: str) -> Process:
    url = logins.url(role)
    return cluster.worker(
        *INVISIBLE, name=role, queues=queues, TINYQUEUE_BROKER_URL=url, TINYQUEUE_DECLARE="0"
    )


class Forger:
    """Says what it likes of evaluations, as far as its login may.

    Args:
        logins: The logins.
        role: Its role.
        is_evaluation: Whether it publishes as evaluating workers do.
    """

    def __init__(self, logins: RoleLogins, role: str, *, is_evaluation: bool = True) -> None:
        self._link = RabbitmqPublishing(Broker(logins.url(role)))
        self._login = logins.name(role)
        key = evaluation_routing_key if is_evaluation else experience_routing_key
        self._key = key(PRESET, self._login)
        self._sent = 0

    def publish(self, body: bytes, content_type: str) -> None:
        """Until the learner's queue has room."""
        deadline_s = time.monotonic() + 60.0
        while self._try(body, content_type) is not PublishOutcome.CONFIRMED:
            assert time.monotonic() < deadline_s
            time.sleep(0.005)

    def _try(self, body: bytes, content_type: str) -> PublishOutcome:
        self._sent += 1
        return self._link.publish(
            body,
            exchange=EXPERIENCE_EXCHANGE,
            routing_key=self._key,
            timeout_s=5.0,
            message_id=f"forged-{self._sent}",
            content_type=content_type,
            user_id=self._login,
        )

    def answer(self, task: dict[str, Any], returns: list[float], **ends: Any) -> None:
        self.publish(encode_evaluation(forged(task, returns, **ends)), EVALUATION_TYPE)

    def sign(self, task: dict[str, Any]) -> None:
        """Once: when the learner has ended, its queue stays full."""
        sign = EvaluationSign(task["request"], task["experiment"], task["run"], "forger")
        self._try(encode_sign(sign), SIGN_TYPE)

    def close(self) -> None:
        self._link.close()


def forged(task: dict[str, Any], returns: list[float], **ends: Any) -> EvaluationResult:
    return EvaluationResult(
        task["request"],
        task["experiment"],
        task["run"],
        task["version"],
        np.array(returns, np.float32),
        np.ones(len(returns), np.int32),
        0.1,
        "forger",
        **ends,
    )


class Tasks:
    """Takes evaluation tasks before any worker does."""

    def __init__(self, cluster: Cluster, url: str) -> None:
        self._cluster = cluster
        self._connection = Broker(url).open()
        self._channel = new_channel(self._connection)

    def next(self) -> dict[str, Any]:
        message = self._cluster.until(
            lambda: self._channel.basic_get(EVALUATE_QUEUE, no_ack=True), "an evaluation task"
        )
        task: dict[str, Any] = json.loads(message.body)[1]
        return task

    def close(self) -> None:
        self._connection.close()


def evaluations(cluster: Cluster) -> list[dict[str, Any]]:
    path = cluster.run_path() / "evaluations.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def refuted(learner: Process, before: int) -> bool:
    """Whether another first set was not confirmed."""
    return learner.printed.count("not solved") > before


def rss(process: Process) -> int:
    """Resident memory in bytes."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found
    return int(found[1]) * 1024


def test_a_run_is_solved_by_an_evaluator_and_confirmed_by_its_learner(
    cluster: Cluster, logins: RoleLogins
) -> None:
    worker(cluster, logins, "player", "play")
    evaluator = worker(cluster, logins, "evaluator", "evaluate")
    learner = cluster.learner("--stop-at-return", "30", *OFTEN, target=PRESET)

    assert learner.wait() == 0, learner.printed

    assert "evaluate-policy" in evaluator.printed
    last, fresh = evaluations(cluster)[-2:]
    assert last["policy_version"] == fresh["policy_version"]
    assert min(last["return_mean"], 1e3) >= 30
    # One of the two sets was played by the worker, the other by the learner.
    assert evaluator.printed.count("succeeded") < len(evaluations(cluster))
    assert f"fresh greedy mean of {EPISODES} games" in learner.printed


def test_what_a_player_says_of_a_request_counts_for_nothing(
    cluster: Cluster, logins: RoleLogins
) -> None:
    # Given a player that knows the request, which its login cannot read
    with Broker(logins.url("player")).open() as connection:
        channel = new_channel(connection)
        learner = cluster.learner(*ENDLESS, *OFTEN)
        worker(cluster, logins, "player", "play")
        tasks = Tasks(cluster, logins.url("learner"))
        task = tasks.next()
        with pytest.raises(AccessRefused):
            channel.basic_get(EVALUATE_QUEUE, no_ack=True)
    with closing(Forger(logins, "player")) as refused, pytest.raises(AccessRefused):
        refused.answer(task, [1e9])

    # When it answers by the key of players, as workers of earlier versions do
    forger = Forger(logins, "player", is_evaluation=False)
    for returns in ([1e9], [3.4e38] * 2, [1e9] * EPISODES):
        forger.answer(task, returns, asked=EPISODES, max_steps=500)

    # Then the learner plays the games itself, and says what is amiss
    cluster.until(lambda: evaluations(cluster), "the learner has played the games itself")
    assert all(line["return_max"] <= 500 for line in evaluations(cluster))
    assert learner.is_running
    assert learner.printed.count("scripts/rabbitmq-users.sh") <= 2
    assert "an evaluation does not count" in learner.printed
    forger.close()
    tasks.close()


def test_an_evaluator_alone_cannot_end_a_run(cluster: Cluster, logins: RoleLogins) -> None:
    learner = cluster.learner(*ENDLESS, *OFTEN)
    worker(cluster, logins, "player", "play")
    tasks, forger = Tasks(cluster, logins.url("evaluator")), Forger(logins, "evaluator")
    task = tasks.next()

    # What differs from the request does not count, nor does an answer to no request.
    forger.answer(task, [2e9], asked=1, max_steps=500)
    forger.answer(task, [3.4e38] * 2, asked=EPISODES, max_steps=500)
    whole: dict[str, Any] = {"returns": [2e9] * EPISODES, "asked": EPISODES, "max_steps": 500}
    forger.answer(task, **whole, actions="sample")
    forger.answer({**task, "request": "nobody"}, **whole)
    forger.answer({**task, "version": 0}, **whole)
    # Nor do returns that no rewards add up to.
    forger.answer(task, [3.4e38] * EPISODES, asked=EPISODES, max_steps=500)
    cluster.until(lambda: "an evaluation does not count" in learner.printed, "it is refused")
    assert not evaluations(cluster)

    # What is made as it was asked for is only the first of two sets.
    for value in (2e9, 9e9):
        before = learner.printed.count("not solved")
        forger.answer(task, [value] * EPISODES, asked=EPISODES, max_steps=500)
        cluster.until(partial(refuted, learner, before), "the run goes on")
        # What it claims is told as its word, and only what the learner has played is written down.
        *_, fresh = evaluations(cluster)
        assert fresh["policy_version"] == task["version"]
        assert all(line["return_mean"] <= 500 for line in evaluations(cluster))
        assert f"of login {logins.name('evaluator')} reports a mean of" in learner.printed
        task = tasks.next()
    cluster.trains_on(1000)
    assert learner.is_running
    forger.close()
    tasks.close()


def test_signs_without_an_answer_hold_up_neither_checkpoints_nor_the_end(
    cluster: Cluster, logins: RoleLogins
) -> None:
    # Given an evaluator that tells for ever that it plays
    limit, every_s = 150_000, 1.0
    learner = cluster.learner(
        *ENDLESS,
        *OFTEN,
        *("--set", "evaluation.timeout_s=5", "--max-env-steps", str(limit)),
        *("--set", f"learner.checkpoint_every_s={every_s}"),
    )
    worker(cluster, logins, "player", "play")
    tasks, forger = Tasks(cluster, logins.url("evaluator")), Forger(logins, "evaluator")
    task = tasks.next()
    checkpoints = cluster.run_path() / "checkpoints"

    # When training goes on beside it, to its last env step
    seen: set[str] = set()
    ends_s = time.monotonic() + 150.0
    while learner.is_running and time.monotonic() < ends_s:
        seen |= {path.name for path in checkpoints.iterdir() if path.name.isdigit()}
        forger.sign(task)
        time.sleep(0.5)

    # Then checkpoints were written meanwhile, and the run ended near its last env step
    assert learner.wait(1.0) == 0, learner.printed
    assert len(seen) >= 3
    newest = max(int(path.name.partition("-")[0]) for path in checkpoints.iterdir())
    assert limit <= newest < 1.2 * limit
    forger.close()
    tasks.close()


def test_a_flood_of_evaluations_leaves_the_learner_s_memory_as_it_was(
    cluster: Cluster, logins: RoleLogins
) -> None:
    learner = cluster.learner("--stop-at-return", "1e9")
    worker(cluster, logins, "player", "play")
    cluster.trains_on(50_000)
    nobody = {"request": "nobody", "experiment": PRESET, "run": "r", "version": 0}
    largest = encode_evaluation(forged(nobody, [0.0] * 10_000))
    too_large = encode_evaluation(forged(nobody, [0.0] * 100_000))
    forgers = (
        (Forger(logins, "evaluator"), largest),
        (Forger(logins, "evaluator"), too_large),
        (Forger(logins, "player", is_evaluation=False), too_large),
    )
    before = rss(learner)

    for _ in range(100):
        for forger, body in forgers:
            forger.publish(body, EVALUATION_TYPE)
    cluster.trains_on(20_000)

    # 168 MB were sent.
    assert rss(learner) - before < 60 * MIB
    for forger, _ in forgers:
        forger.close()


def test_a_worker_without_the_role_says_what_its_login_needs(
    cluster: Cluster, logins: RoleLogins
) -> None:
    # Given the permissions of before: an evaluator may read tasks, and not answer them
    set_keys(logins, "evaluator", rf"^[a-z0-9_-]+\.{logins.name('evaluator')}$")
    evaluator = worker(cluster, logins, "evaluator", "evaluate")
    worker(cluster, logins, "player", "play")

    learner = cluster.learner("--stop-at-return", "30", *OFTEN)

    # Then it tells the learner, which plays the games itself; and both say how to mend it
    assert learner.wait() == 0, learner.printed
    assert "cannot evaluate, so the learner does" in learner.printed
    assert "no evaluating worker answers" not in learner.printed
    assert "need a login of the role evaluator" in learner.printed
    assert "need a login of the role evaluator" in evaluator.printed
