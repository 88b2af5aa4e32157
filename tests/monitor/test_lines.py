from __future__ import annotations

import io
import math
from dataclasses import replace

import pytest

from tinyqueue.monitor.lines import LineView
from tinyqueue.monitor.view import RunHeader, Snapshot

SNAPSHOT = Snapshot(
    time_s=4.2,
    env_steps=546_816,
    updates=267,
    episodes=4_000,
    return_mean=136.5,
    env_steps_per_s=302_468.2,
    policy_lag_mean=7.12,
    queue_depth=2,
    players=2,
)


class Clock:
    """A clock that a test moves."""

    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def file() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def view(file: io.StringIO, clock: Clock, header: RunHeader) -> LineView:
    view = LineView(file, clock)
    view.start(header)
    return view


def test_the_first_line_says_what_is_trained_and_where(view: LineView, file: io.StringIO) -> None:
    assert file.getvalue() == (
        "cartpole-impala: CartPole-v1, impala, embedded Redis, runs/cartpole-impala/3\n"
    )


def test_a_snapshot_is_one_line(view: LineView, file: io.StringIO) -> None:
    view.update(SNAPSHOT)

    assert file.getvalue().splitlines()[1:] == [
        "   0:04      546,816 steps  302,468/s      267 updates  return    136.5  "
        "  0% of the way to 475  lag  7.1  queue 2  players 2"
    ]


def test_a_few_short_episodes_are_not_all_of_the_way(view: LineView, file: io.StringIO) -> None:
    view.update(replace(SNAPSHOT, return_mean=500.0, episodes=3))
    assert "   – of the way to 475" in file.getvalue()


def test_before_the_first_batch_there_are_no_lines_of_zeros(
    view: LineView, file: io.StringIO, clock: Clock
) -> None:
    for _ in range(30):
        view.update(Snapshot(time_s=0.0, is_waiting=True))
        clock.now_s += 1.0
    assert len(file.getvalue().splitlines()) == 1

    view.update(SNAPSHOT)
    assert "546,816 steps" in file.getvalue().splitlines()[1]


def test_lines_come_every_two_seconds_however_often_it_is_told(
    view: LineView, file: io.StringIO, clock: Clock
) -> None:
    for _ in range(50):
        view.update(SNAPSHOT)
        clock.now_s += 0.1

    assert len(file.getvalue().splitlines()) == 1 + 3


def test_after_a_long_time_lines_come_once_a_minute(
    view: LineView, file: io.StringIO, clock: Clock
) -> None:
    clock.now_s += 36_000
    before = len(file.getvalue().splitlines())

    for _ in range(600):
        view.update(SNAPSHOT)
        clock.now_s += 1.0

    assert len(file.getvalue().splitlines()) - before == 10


def test_a_view_is_due_until_it_knows_where_the_return_began(
    view: LineView, clock: Clock, file: io.StringIO
) -> None:
    view.update(replace(SNAPSHOT, return_mean=math.nan))
    assert view.is_due

    view.update(replace(SNAPSHOT, return_mean=20.0))
    assert not view.is_due

    clock.now_s += 2.0
    assert view.is_due
    view.update(replace(SNAPSHOT, return_mean=247.5))
    assert " 50% of the way to 475" in file.getvalue().splitlines()[-1]


def test_what_is_wrong_or_going_on_is_added(
    view: LineView, file: io.StringIO, clock: Clock
) -> None:
    view.update(replace(SNAPSHOT, batches_set_aside=1, batches_dropped=4, is_evaluating=True))
    clock.now_s += 2.0
    view.update(replace(SNAPSHOT, greedy_mean=471.25))

    with_trouble, with_greedy = file.getvalue().splitlines()[1:]
    assert with_trouble.endswith("set aside 1, dropped 4  evaluating")
    assert with_greedy.endswith("players 2  greedy 471.2")


def test_a_message_comes_at_once(view: LineView, file: io.StringIO) -> None:
    view.message("a third player has joined")

    assert file.getvalue().endswith("a third player has joined\n")


def test_stopping_shows_the_last_snapshot_once(view: LineView, file: io.StringIO) -> None:
    view.update(SNAPSHOT)
    view.update(replace(SNAPSHOT, updates=999))

    view.stop()
    view.stop()

    shown = file.getvalue().splitlines()[1:]
    assert len(shown) == 2
    assert "999 updates" in shown[1]


def test_a_message_and_a_stop_before_the_start_are_no_trouble(clock: Clock) -> None:
    file = io.StringIO()
    view = LineView(file, clock)

    view.message("starting services")
    view.stop()

    assert file.getvalue() == "starting services\n"
