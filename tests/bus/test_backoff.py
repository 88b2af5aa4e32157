from __future__ import annotations

import pytest

from tinyqueue.bus.backoff import Backoff, Reconnects
from tinyqueue.bus.broker import Broker
from tinyqueue.bus.messages import Outgoing, PublishOutcome
from tinyqueue.bus.publisher import ExperiencePublisher
from tinyqueue.bus.task_connection import TaskConnection
from tinyqueue.errors import ServiceUnreachableError


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def backoff(clock: Clock) -> Backoff:
    return Backoff(jitter=lambda: 0.5, clock=clock)


def accepted_every(interval_s: float, backoff: Backoff, clock: Clock) -> None:
    for _ in range(100):
        clock.now_s += interval_s
        backoff.accepted()


def test_at_first_it_asks_again_at_once(backoff: Backoff) -> None:
    assert backoff.refused() == pytest.approx(0.0026)


def test_a_pause_follows_the_time_between_acceptances(backoff: Backoff, clock: Clock) -> None:
    accepted_every(0.010, backoff, clock)

    assert backoff.refused() == pytest.approx(0.013)
    assert backoff.refused() == pytest.approx(0.01625)
    backoff.accepted()
    assert backoff.refused() < 0.013


def test_a_question_is_asked_again_sooner_than_a_body_is_sent(
    backoff: Backoff, clock: Clock
) -> None:
    accepted_every(0.010, backoff, clock)

    assert backoff.refused(was_sent=False) == pytest.approx(0.005)
    assert backoff.refused(was_sent=True) == pytest.approx(0.01625)


def test_pauses_grow_to_a_limit_while_nothing_is_accepted(backoff: Backoff) -> None:
    pauses = [backoff.refused() for _ in range(40)]

    assert pauses == sorted(pauses)
    assert pauses[-1] == 0.1


def test_a_slow_learner_is_asked_ten_times_a_second(backoff: Backoff, clock: Clock) -> None:
    accepted_every(2.0, backoff, clock)

    assert backoff.refused() == 0.1


def test_jitter_is_one_half_either_way() -> None:
    least = Backoff(least_s=0.01, jitter=lambda: 0.0)
    most = Backoff(least_s=0.01, jitter=lambda: 1.0)

    assert least.refused() == pytest.approx(0.0065)
    assert most.refused() == pytest.approx(0.0195)


def test_reconnects_draw_from_zero_to_a_bound_that_doubles_up_to_five_seconds() -> None:
    longest = Reconnects(jitter=lambda: 1.0)
    shortest = Reconnects(jitter=lambda: 0.0)

    assert [longest.failed() for _ in range(7)] == [0.25, 0.5, 1, 2, 4, 5, 5]
    assert [shortest.failed() for _ in range(7)] == [0.0] * 7


def test_a_broker_that_answers_begins_the_pauses_anew() -> None:
    reconnects = Reconnects(jitter=lambda: 1.0)
    for _ in range(1000):
        assert reconnects.failed() <= 5.0
    reconnects.succeeded()

    assert reconnects.failed() == 0.25


def test_a_player_whose_broker_is_away_tries_less_than_once_a_second() -> None:
    closed = Broker("amqp://x:y@127.0.0.1:1//")
    publisher = ExperiencePublisher(closed, "x", queue_batches=2, learner_is_alive=lambda _: True)
    publisher._reconnects = Reconnects(jitter=lambda: 0.5)
    message = Outgoing("e", b"", "t", "m", "c", {})
    pauses = []

    for _ in range(10):
        assert publisher.publish(message) is PublishOutcome.UNKNOWN
        pauses.append(publisher.pause_s())

    assert pauses[-1] == 2.5
    assert sum(pauses) > 15


def test_tasks_are_not_sent_to_a_broker_that_was_away_a_moment_ago() -> None:
    connection = TaskConnection(Broker("amqp://x:y@127.0.0.1:1//"))
    connection._reconnects = Reconnects(first_s=60.0, most_s=60.0, jitter=lambda: 1.0)

    with pytest.raises(ServiceUnreachableError, match="cannot be used"):
        connection.producer()
    with pytest.raises(ServiceUnreachableError, match="trying again in "):
        connection.producer()


def test_a_queue_may_be_full_for_hours() -> None:
    backoff = Backoff(jitter=lambda: 0.5)

    pauses_s = [backoff.refused() for _ in range(50_000)]

    assert pauses_s[-1] == pytest.approx(0.1)
