from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tinyqueue.monitor.view import Progress, RunHeader, Snapshot, counted, duration, number


def seen(header: RunHeader, *means: float) -> tuple[Progress, Snapshot]:
    progress = Progress(header)
    for mean in means:
        progress.see(Snapshot(time_s=0.0, return_mean=mean))
    return progress, Snapshot(time_s=0.0, env_steps=250, return_mean=means[-1])


def test_progress_towards_a_level_is_measured_from_the_first_mean(header: RunHeader) -> None:
    progress, now = seen(replace(header, level=18.0), -20.0, -1.0)

    assert progress.fraction(now) == 0.5
    assert progress.goal == "of the way to 18"


def test_a_resumed_run_goes_on_from_where_its_progress_was(header: RunHeader) -> None:
    progress = Progress(replace(header, level=18.0))
    now = Snapshot(time_s=60.0, return_mean=9.0, first_mean=-20.0)
    progress.see(replace(now, return_mean=17.0))

    assert progress.fraction(now) == pytest.approx(29 / 38)


def test_the_first_mean_of_the_run_takes_the_place_of_the_first_return(header: RunHeader) -> None:
    progress, now = seen(replace(header, level=20.0), -10.0)

    progress.see(replace(now, first_mean=-20.0))

    assert progress.fraction(replace(now, return_mean=0.0)) == 0.5


def test_progress_stays_between_nothing_and_all(header: RunHeader) -> None:
    progress, worse = seen(header, 25.0, 10.0)
    better = replace(worse, return_mean=480.0)

    assert progress.fraction(worse) == 0.0
    assert progress.fraction(better) == 1.0


def test_progress_is_nothing_while_no_episode_has_ended(header: RunHeader) -> None:
    progress, now = seen(header, math.nan)

    assert progress.needs_first
    assert progress.fraction(now) == 0.0


def test_a_first_mean_at_the_level_is_all_of_it_and_a_later_fall_is_none(header: RunHeader) -> None:
    progress, _ = seen(header, 500.0)

    assert progress.fraction(Snapshot(time_s=0.0, return_mean=500.0)) == 1.0
    assert progress.fraction(Snapshot(time_s=0.0, return_mean=470.0)) == 0.0


@pytest.mark.parametrize(("episodes", "says"), [(19, "–"), (20, "100%")])
def test_progress_to_a_level_is_told_once_enough_episodes_have_ended(
    header: RunHeader, episodes: int, says: str
) -> None:
    progress, now = seen(replace(header, level=2.0), 0.0, 3.0)
    assert progress.percent(replace(now, episodes=episodes)) == says


def test_progress_without_a_level_counts_env_steps(header: RunHeader) -> None:
    progress, now = seen(replace(header, level=None, max_env_steps=1_000), 5.0)

    assert not progress.needs_first
    assert progress.fraction(now) == 0.25
    assert progress.percent(now) == "25%"
    assert progress.goal == "of 1,000 steps"


def test_a_run_without_an_end_has_no_progress(header: RunHeader) -> None:
    progress, now = seen(replace(header, level=None), 5.0)

    assert progress.fraction(now) is None
    assert progress.percent(now) == ""
    assert progress.goal == ""


@pytest.mark.parametrize(
    ("seconds", "text"), [(9.9, "0:09"), (754, "12:34"), (3723, "1:02:03"), (90_000, "25:00:00")]
)
def test_durations_read_as_a_clock(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_numbers_have_their_thousands_apart_and_a_dash_for_nothing() -> None:
    assert number(302468.21, 0) == "302,468"
    assert number(-20.94) == "-20.9"
    assert number(math.nan) == "–"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (12_345.4, "12,345"),
        (-99_960.0, "-99,960"),
        (476.52, "476.5"),
        (9.351, "9.35"),
        (4.0, "4.0"),
        (0.9574, "0.957"),
        (0.00432, "0.00432"),
        (3.2e-12, "3.2e-12"),
        (0.0, "0.0"),
        (math.inf, "inf"),
    ],
)
def test_a_number_has_the_digits_that_it_is_worth(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("value", "level", "text"),
    [
        (0.96, 0.95, "0.96"),
        (474.98, 475.0, "474.98"),
        (475.0, 475.0, "475.0"),
        (475.04, 475.0, "475.04"),
        (-0.04, 0.0, "-0.04"),
        (12_344.8, 12_345.0, "12,344.8"),
    ],
)
def test_a_number_is_on_the_side_of_a_level_where_it_is(
    value: float, level: float, text: str
) -> None:
    assert number(value, beside=level) == text


@given(st.floats(-1e9, 1e9), st.integers(-1000, 1000))
def test_a_rounded_number_never_crosses_a_level(value: float, level: int) -> None:
    assume(abs(value - level) > 1e-6)

    shown = float(number(value, beside=level).replace(",", ""))

    assert (shown > level) == (value > level)
    assert (shown < level) == (value < level)


def test_one_is_not_several() -> None:
    assert counted(1, "game") == "1 game"
    assert counted(2000, "game") == "2,000 games"
    assert counted(0, "session batch") == "0 session batches"
    assert counted(1, "session batch") == "1 session batch"
