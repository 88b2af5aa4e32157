from __future__ import annotations

import math

import pytest

from tinyqueue.monitor.history import ASCII_BLOCKS, History, sparkline


def test_a_history_that_is_not_full_holds_every_value() -> None:
    history = History(capacity=4)

    for value in (1.0, 5.0, 2.0):
        history.add(value)

    assert history.points == [1.0, 5.0, 2.0]


def test_a_full_history_merges_neighbours_and_takes_values_in_pairs_from_then_on() -> None:
    history = History(capacity=4)

    for value in (1.0, 3.0, 5.0, 7.0, 10.0, 20.0, 30.0):
        history.add(value)

    assert history.points == [2.0, 6.0, 15.0, 30.0]


def test_a_long_history_stays_small_and_keeps_its_ends() -> None:
    history = History(capacity=8)

    for value in range(100_000):
        history.add(float(value))

    points = history.points
    assert len(points) <= 8
    assert points == sorted(points)
    assert points[0] < 20_000
    assert points[-1] > 80_000


def test_a_value_that_is_not_measured_is_left_out() -> None:
    history = History()

    history.add(math.nan)
    history.add(2.0)

    assert history.points == [2.0]


@pytest.mark.parametrize("capacity", [0, 1, 7])
def test_a_capacity_that_cannot_be_halved_is_refused(capacity: int) -> None:
    with pytest.raises(ValueError, match="even"):
        History(capacity)


def test_a_sparkline_goes_from_the_lowest_block_to_the_highest() -> None:
    assert sparkline([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], 8) == "▁▂▃▄▅▆▇█"
    assert sparkline([-21.0, 21.0], 10) == "▁█"


def test_a_sparkline_of_more_points_than_columns_averages_them() -> None:
    assert sparkline([0.0, 0.0, 7.0, 7.0], 2) == "▁█"
    assert len(sparkline([float(i) for i in range(97)], 40)) == 40


def test_a_sparkline_of_equal_points_is_flat_and_of_none_is_empty() -> None:
    assert sparkline([3.0, 3.0], 5) == "▁▁"
    assert sparkline([], 5) == ""
    assert sparkline([1.0], 0) == ""


def test_a_sparkline_can_be_plain_ascii() -> None:
    assert sparkline([0.0, 7.0], 5, ASCII_BLOCKS) == "_@"
