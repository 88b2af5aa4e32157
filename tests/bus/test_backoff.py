from __future__ import annotations

import pytest

from tinyqueue.bus.backoff import Backoff


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
