"""Rates of counts that rise often or rarely, whoever looks when."""

import pytest

from tinyqueue.learner.rates import Rates


def rising(every_s, until_s, env_steps):
    """Counts that rise every so often by ``env_steps`` and an update; looked at every 0.1 s."""
    rates, seen = Rates(), []
    noted, looks = 0, 0
    while looks / 10 <= until_s:
        while noted * every_s <= looks / 10:
            rates.note(noted * every_s, noted * env_steps, noted)
            noted += 1
        seen.append(rates.at(looks / 10))
        looks += 1
    return rates, seen


@pytest.mark.parametrize(
    ("every_s", "env_steps"), [(0.01, 3000), (0.3, 2048), (3.0, 2048), (20.0, 2048)]
)
def test_a_steady_rate_is_the_same_at_every_look(every_s, env_steps):
    _, seen = rising(every_s, 8 * every_s + 2, env_steps)

    expected = (env_steps / every_s, 1 / every_s)
    # From the second rise that is noted on.
    first = next(i for i, rates in enumerate(seen) if rates != (0.0, 0.0))
    assert first / 10 <= max(every_s, 0.25) + 0.11
    assert all(rates == pytest.approx(expected) for rates in seen[first:])


def test_a_change_of_pace_is_seen_within_the_window():
    rates = Rates(window_s=5.0)
    for second in range(20):
        rates.note(second, 100 * second, second)
    for second in range(1, 6):
        rates.note(19 + second, 1900 + 500 * second, 19 + second)

    assert rates.at(24.0) == (500.0, 1.0)


def test_a_silence_lowers_the_rate_and_then_ends_it():
    rates, _ = rising(1.0, 10.0, 100)

    # The last rise was at 10 s; the next is late from 11 s on.
    assert rates.at(11.0) == (100.0, 1.0)
    assert rates.at(14.0)[0] == pytest.approx(500 / 8)
    assert rates.at(21.0) == (0.0, 0.0)


def test_before_two_rises_there_is_no_rate():
    rates = Rates()
    assert rates.at(0.0) == (0.0, 0.0)

    # A run that is resumed begins high; that is not a rate.
    rates.note(1.0, 5_000_000, 700)
    assert rates.at(1.0) == (0.0, 0.0)
