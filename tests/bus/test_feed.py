from __future__ import annotations

import itertools

import pytest

from tinyqueue.bus.feed import TaskFeed
from tinyqueue.errors import ServiceUnreachableError


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


class Sender:
    """Numbers tasks; refuses while ``down``."""

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self.sent: list[str] = []
        self.down = False

    def __call__(self) -> str:
        if self.down:
            raise ServiceUnreachableError("down")
        self.sent.append(f"task {next(self._numbers)}")
        return self.sent[-1]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sender() -> Sender:
    return Sender()


@pytest.fixture
def feed(sender: Sender, clock: Clock) -> TaskFeed:
    return TaskFeed(sender, budget_s=2.0, clock=clock)


def test_with_no_player_known_two_tasks_stay_outstanding(feed: TaskFeed) -> None:
    assert feed.tick() == 2
    assert feed.tick() == 0
    assert feed.outstanding == 2
    assert feed.players == 0


def test_each_live_player_has_two(feed: TaskFeed) -> None:
    feed.tick()
    for player in ("a", "b", "c"):
        feed.heard(player, [])

    assert feed.tick() == 4
    assert (feed.outstanding, feed.players) == (6, 3)


def test_an_ended_task_is_replaced_once(feed: TaskFeed, sender: Sender) -> None:
    feed.tick()
    feed.heard("a", [sender.sent[0]])
    feed.heard("a", [sender.sent[0], "of another run"])

    assert feed.outstanding == 1
    assert feed.tick() == 1
    assert feed.tick() == 0


def test_a_player_that_falls_silent_is_forgotten_after_thirty_seconds(
    feed: TaskFeed, clock: Clock
) -> None:
    for player in ("a", "b"):
        feed.heard(player, [])
    feed.tick()
    clock.now_s += 29
    feed.heard("a", [])
    feed.tick()
    assert feed.players == 2

    clock.now_s += 2
    feed.tick()
    assert feed.players == 1


def test_a_task_whose_end_nobody_tells_expires(
    feed: TaskFeed, clock: Clock, sender: Sender
) -> None:
    feed.tick()
    for _ in range(16):
        clock.now_s += 1.9  # sessions of somebody come all the time
        feed.heard("a", [])
        feed.tick()

    assert feed.outstanding == 2
    assert len(sender.sent) == 4


def test_in_a_silence_all_tasks_are_forgotten_after_a_tasks_time_and_then_after_twice_that(
    feed: TaskFeed, clock: Clock, sender: Sender
) -> None:
    feed.tick()
    sent = []
    for _ in range(8):
        clock.now_s += 2.6  # a task of 2 s has 2.5 s
        sent.append(feed.tick())
    assert sent == [2, 0, 2, 0, 0, 0, 2, 0]

    feed.heard("a", [])
    clock.now_s += 2.6
    assert feed.tick() == 2


def test_what_cannot_be_sent_is_not_outstanding(feed: TaskFeed, sender: Sender) -> None:
    sender.down = True
    with pytest.raises(ServiceUnreachableError):
        feed.tick()
    assert feed.outstanding == 0

    sender.down = False
    assert feed.tick() == 2
