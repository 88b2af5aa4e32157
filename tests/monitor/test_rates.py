"""The rate of a count that rises often or rarely, whoever looks when."""

import pytest

from tinyqueue.monitor.rates import Rate


def rising(every_s, until_s, by):
    """A count that rises by so much every so often; looked at every 0.1 s."""
    rate, seen = Rate(), []
    noted, looks = 0, 0
    while looks / 10 <= until_s:
        while noted * every_s <= looks / 10:
            rate.note(noted * every_s, noted * by)
            noted += 1
        seen.append(rate.at(looks / 10))
        looks += 1
    return rate, seen


@pytest.mark.parametrize(
    ("every_s", "by"), [(0.01, 3000), (0.3, 2048), (3.0, 2048), (20.0, 2048), (3.0, 1)]
)
def test_a_steady_rate_is_the_same_at_every_look(every_s, by):
    _, seen = rising(every_s, 8 * every_s + 2, by)

    # From the second rise that is noted on.
    first = next(i for i, rate in enumerate(seen) if rate)
    assert first / 10 <= max(every_s, 0.25) + 0.11
    assert all(rate == pytest.approx(by / every_s) for rate in seen[first:])


def test_a_count_that_is_told_more_often_than_it_rises_has_the_rate_of_its_rises():
    # Given updates every 0.1 s on env steps that come every 7.3 s
    rate, seen = Rate(), []
    for tenths in range(600):
        rate.note(tenths / 10, 160 * int(tenths / 73))
        seen.append(rate.at(tenths / 10))

    # Then, from the second rise on, it is theirs
    assert all(each == pytest.approx(160 / 7.3) for each in seen[2 * 73 :])


def test_a_change_of_pace_is_seen_within_the_window():
    rate = Rate(window_s=5.0)
    for second in range(20):
        rate.note(second, 100 * second)
    for second in range(1, 6):
        rate.note(19 + second, 1900 + 500 * second)

    assert rate.at(24.0) == 500.0


def test_a_silence_lowers_the_rate_and_then_ends_it():
    rate, _ = rising(1.0, 10.0, 100)

    # The last rise was at 10 s; the next is late from 11 s on.
    assert rate.at(11.0) == 100.0
    assert rate.at(14.0) == pytest.approx(500 / 8)
    assert rate.at(21.0) == 0.0


def test_before_two_rises_there_is_no_rate():
    rate = Rate()
    assert rate.at(0.0) == 0.0

    # A run that is resumed begins high; that is not a rate.
    rate.note(1.0, 5_000_000)
    assert rate.at(1.0) == 0.0
