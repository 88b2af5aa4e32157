from __future__ import annotations

from typing import Any

import pytest

from tinyqueue.bus.topology import (
    dead_letter_queue,
    evaluation_routing_key,
    experience_queue,
    experience_routing_key,
    kept_queue,
    sender_of,
    task_queues,
)
from tinyqueue.settings import Settings


def test_task_queues_are_the_play_queues_and_evaluate() -> None:
    queues = task_queues(Settings(play_queues=("play", "play.gpu")))

    assert [queue.name for queue in queues] == ["play", "play.gpu", "evaluate"]
    assert [queue.routing_key for queue in queues] == ["play", "play.gpu", "evaluate"]
    for queue in queues:
        assert queue.durable
        assert queue.exchange.name == "tinyqueue.tasks"
        assert queue.exchange.type == "direct"
        assert queue.queue_arguments is not None
        assert queue.queue_arguments["x-overflow"] == "reject-publish"
        assert queue.queue_arguments["x-dead-letter-exchange"] == "tinyqueue.dead"


def test_a_queue_that_is_named_twice_is_declared_once() -> None:
    queues = task_queues(Settings(play_queues=("evaluate", "play")))

    assert [queue.name for queue in queues] == ["evaluate", "play"]


@pytest.mark.parametrize("declare", [True, False])
def test_where_the_operator_declares_nothing_else_does(declare: bool) -> None:
    queues: tuple[Any, ...] = task_queues(Settings(declare=declare))
    for queue in queues:
        assert queue.no_declare is not declare
        assert queue.exchange.no_declare is not declare


def test_the_experience_queue_is_bounded_and_for_one_learner() -> None:
    queue = experience_queue("pong", 2)

    assert queue.name == "experience.pong"
    assert (queue.exchange.name, queue.exchange.type) == ("experience", "topic")
    assert queue.routing_key == "pong.#"
    assert queue.queue_arguments == {
        "x-max-length": 2,
        "x-overflow": "reject-publish",
        "x-single-active-consumer": True,
        "x-dead-letter-exchange": "experience.kept",
        "x-dead-letter-routing-key": "pong",
    }


def test_what_a_restart_drops_is_kept_within_bounds_of_its_experiment() -> None:
    queue = kept_queue("pong", 2, 3)

    assert queue.name == "experience.pong.kept"
    assert (queue.exchange.name, queue.exchange.type) == ("experience.kept", "direct")
    assert queue.routing_key == "pong"
    assert queue.durable
    assert queue.queue_arguments == {
        "x-single-active-consumer": True,
        "x-max-length": 40,
        "x-max-length-bytes": 5 * 15 * 2**20,
        "x-overflow": "drop-head",
    }
    assert kept_queue("pong", 2, 3, successor=True).name == "experience.pong.kept.next"


def test_its_successor_differs_in_name_alone() -> None:
    queue, successor = experience_queue("pong", 2), experience_queue("pong", 2, successor=True)

    assert successor.name == "experience.pong.next"
    assert successor.routing_key == queue.routing_key
    assert successor.queue_arguments == queue.queue_arguments


def test_a_quorum_queue_may_be_returned_as_often_as_a_learner_reconnects() -> None:
    arguments = experience_queue("pong", 64, "quorum").queue_arguments

    assert arguments is not None
    assert arguments["x-queue-type"] == "quorum"
    assert arguments["x-max-length"] == 64
    assert arguments["x-delivery-limit"] >= 1_000_000


def test_routing_keys_name_experiment_and_user() -> None:
    assert experience_routing_key("pong", "rack-1.player") == "pong.rack-1.player"


def test_dead_letters_are_bounded_and_never_refused() -> None:
    queue = dead_letter_queue()

    assert queue.name == queue.exchange.name == "tinyqueue.dead"
    assert queue.routing_key == "#"
    assert queue.queue_arguments is not None
    assert queue.queue_arguments["x-message-ttl"] == 604_800_000
    assert queue.queue_arguments["x-max-length"] == 1000
    assert "x-overflow" not in queue.queue_arguments


@pytest.mark.parametrize("experiment", ["pole", "a-b_c"])
@pytest.mark.parametrize("user", ["ann", "ann.b", "mill-3.lan", "evaluations"])
@pytest.mark.parametrize("user_id", ["", "ann"])
def test_a_sender_is_known_by_what_the_broker_has_checked(experiment, user, user_id):
    plain = experience_routing_key(experiment, user)
    assert sender_of(plain, user_id) == (user_id or user, False)
    evaluating = evaluation_routing_key(experiment, user)
    assert sender_of(evaluating, user_id) == (user_id or user, True)


def test_a_sender_whom_nothing_names_has_a_login_of_its_own():
    assert sender_of("", "") == ("?", False)
    assert sender_of("pole", "") == ("?", False)
