from __future__ import annotations

import itertools

import pytest

from tinyqueue.bus.feed import MOST_AT_ONCE, PATIENCE_S, TaskFeed
from tinyqueue.bus.presence import MOST_PLAYERS, UNPROVEN
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
        feed.heard("rack", player, [])

    assert feed.tick() == 4
    assert (feed.outstanding, feed.players) == (6, 3)


def test_an_ended_task_is_replaced_once(feed: TaskFeed, sender: Sender) -> None:
    feed.tick()
    feed.heard("rack", "a", [sender.sent[0]])
    feed.heard("rack", "a", [sender.sent[0], "of another run"])

    assert feed.outstanding == 1
    assert feed.tick() == 1
    assert feed.tick() == 0


def test_a_player_that_falls_silent_is_forgotten_after_thirty_seconds(
    feed: TaskFeed, clock: Clock
) -> None:
    for player in ("a", "b"):
        feed.heard("rack", player, [])
    feed.tick()
    clock.now_s += 29
    feed.heard("rack", "a", [])
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
        feed.heard("rack", "a", [])
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

    feed.heard("rack", "a", [])
    clock.now_s += 2.6
    assert feed.tick() == 2


@pytest.mark.parametrize("silence_s", [10.0, 60.0, 300.0, 3600.0])
def test_after_a_silence_of_any_length_the_next_tasks_come_within_half_a_minute(
    feed: TaskFeed, clock: Clock, sender: Sender, silence_s: float
) -> None:
    # Such as players whom a full queue refuses: their tasks end, and they cannot say so.
    feed.heard("rack", "a", [])
    until_s = clock.now_s + silence_s
    while clock.now_s < until_s:
        feed.tick()
        clock.now_s += 0.2
    before, back_s = len(sender.sent), clock.now_s

    while len(sender.sent) == before:
        clock.now_s += 0.2
        feed.tick()

    assert clock.now_s - back_s <= PATIENCE_S + 0.5
    # Few pile up meanwhile: two at a time.
    assert before <= 20 + 2 * silence_s / PATIENCE_S


def test_what_cannot_be_sent_is_not_outstanding(feed: TaskFeed, sender: Sender) -> None:
    sender.down = True
    with pytest.raises(ServiceUnreachableError):
        feed.tick()
    assert feed.outstanding == 0

    sender.down = False
    assert feed.tick() == 2


def test_a_session_that_is_not_valid_ends_its_tasks_and_makes_no_player(
    feed: TaskFeed, sender: Sender
) -> None:
    feed.tick()
    feed.heard("rack", "", [sender.sent[0]])

    assert (feed.outstanding, feed.players) == (1, 0)


def test_a_failure_ends_a_task_that_was_sent_and_no_other(
    feed: TaskFeed, sender: Sender, clock: Clock
) -> None:
    feed.tick()
    feed.failed("rack", sender.sent[0])
    assert feed.outstanding == 1

    # And what was never sent does not make a silence look like a life.
    for _ in range(3):
        clock.now_s += 1.0
        feed.failed("rack", "invented")
    assert feed.tick() == 2


def test_what_a_session_says_of_its_duration_is_believed_up_to_the_limit_of_a_task(
    sender: Sender, clock: Clock
) -> None:
    feed = TaskFeed(sender, budget_s=2.0, limit_s=6.0, clock=clock)
    feed.heard("rack", "a", [], play_s=1e300)
    feed.tick()

    clock.now_s += 6.6
    assert feed.tick() == 2


def test_invented_players_fill_no_queue(feed: TaskFeed, sender: Sender, clock: Clock) -> None:
    # Given 170 valid sessions a second for a minute, each of a player of its own.
    for number in range(60 * 170):
        clock.now_s += 1 / 170
        feed.heard("mallory", f"ghost-{number}", [])
        feed.tick()
        assert feed.players <= UNPROVEN
        assert feed.outstanding <= 2 * UNPROVEN

    # Then another login's players are as live as ever.
    before = feed.players
    for number in range(UNPROVEN):
        feed.heard("rack", f"host:{number}", [])
    assert feed.players == before + UNPROVEN


class Fleet:
    """Players of one login that take what tasks there are, and play a batch for each."""

    def __init__(self, feed: TaskFeed, sender: Sender, players: int, batch_s: float = 2.0) -> None:
        self._feed, self._sender, self._batch_s = feed, sender, batch_s
        self._tasks = {f"host:{number}": "" for number in range(players)}
        self._taken = 0

    def play(self) -> int:
        """The time of a batch: all tasks end, and the next are taken. How many play then."""
        for player, task in self._tasks.items():
            if task:
                self._feed.heard("rack", player, [task], self._batch_s)
        while self._feed.tick():
            pass
        for player in self._tasks:
            waits = self._taken < len(self._sender.sent)
            self._tasks[player] = self._sender.sent[self._taken] if waits else ""
            self._taken += waits
        return sum(map(bool, self._tasks.values()))


@pytest.mark.parametrize("players", [1, 8, 50, 500])
def test_a_fleet_is_complete_after_a_minute(
    feed: TaskFeed, sender: Sender, clock: Clock, players: int
) -> None:
    fleet = Fleet(feed, sender, players)
    for _ in range(30):
        clock.now_s += 2
        fleet.play()

    assert feed.players == players


@pytest.mark.parametrize("players", [8, 50, 200])
@pytest.mark.parametrize("batch_s", [10.0, 16.0, 20.0, 25.0, 50.0])
def test_a_fleet_of_slow_players_stays_busy(
    feed: TaskFeed, sender: Sender, clock: Clock, players: int, batch_s: float
) -> None:
    fleet = Fleet(feed, sender, players, batch_s)
    busy = []
    for _ in range(40):
        clock.now_s += batch_s
        busy.append(fleet.play())

    assert busy[-20:] == [players] * 20


def test_one_login_has_a_thousand_players_and_no_more(
    feed: TaskFeed, sender: Sender, clock: Clock
) -> None:
    fleet = Fleet(feed, sender, 2 * MOST_PLAYERS)
    for _ in range(150):
        clock.now_s += 2
        fleet.play()

    assert feed.players == MOST_PLAYERS


def test_tasks_that_end_at_once_are_replaced_at_a_bounded_rate(
    feed: TaskFeed, sender: Sender, clock: Clock
) -> None:
    # Given a login that takes every task at once and says that it has played it.
    for _ in range(6000):
        clock.now_s += 0.01
        feed.tick()
        feed.heard("mallory", "ghost", sender.sent[-2:])

    # A task lasts 2 s: 4 × (1 + 64) within them.
    assert len(sender.sent) <= 60 * 4 * 65 / 2 + 4 * 65 + 2


def test_one_tick_sends_few_tasks_so_that_other_chores_go_on(feed: TaskFeed) -> None:
    for number in range(5 * UNPROVEN):
        feed.heard(f"rack-{number % 5}", f"host:{number}", [])

    assert [feed.tick() for _ in range(3)] == [MOST_AT_ONCE, 10 * UNPROVEN - MOST_AT_ONCE, 0]


def test_who_has_fallen_silent_is_told_in_one_line_every_ten_seconds(
    feed: TaskFeed, clock: Clock
) -> None:
    lines = {}
    for second in range(40):
        names = [f"p{n}" for n in range(6)] if second == 0 else ["a"] * 100
        for name in [*names, "q"] if second < 3 else names:
            feed.heard("ada", name, [], 0.1)
        clock.now_s += 1.0
        if told := feed.silence_told():
            lines[second + 1] = told

    assert list(lines) == [8, 18]
    first, second_line = lines.values()
    assert first.startswith("silent while others play: player p0 of login ada, 8 s after a batch")
    assert "; and 3 more. A step of the environment may hang there" in first
    assert second_line.startswith("silent while others play: player q of login ada, 16 s after")


def test_nobody_is_told_to_be_silent_while_a_player_may_evaluate(
    feed: TaskFeed, clock: Clock
) -> None:
    feed.heard("ada", "b", [], 0.1)
    for second in range(25):
        for _ in range(20):
            feed.heard("ada", "a", [], 0.1)
        clock.now_s += 1.0
        assert feed.silence_told(is_evaluating=second < 20) == ""
