"""How long a process rests before it gives back a task that it could not play."""

from __future__ import annotations

import pytest

from tinyqueue.errors import (
    ConfigError,
    EnvironmentFailedError,
    EnvironmentMismatchError,
    MessageError,
    MissingExtraError,
    ServiceUnreachableError,
    UnknownNameError,
)
from tinyqueue.player.rests import (
    AWAY,
    BUSY_REST_S,
    FAILED,
    UNFIT,
    Rests,
    growth_of,
    is_unfit,
)


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def rests(clock: Clock) -> Rests:
    """The longest rests: without jitter."""
    return Rests(clock, jitter=lambda: 1.0)


def test_rests_of_a_misconfigured_machine_double_from_one_second_to_thirty(rests: Rests) -> None:
    found = [rests.failed("pole", UNFIT) for _ in range(8)]

    assert found == [1, 2, 4, 8, 16, 30, 30, 30]


@pytest.mark.parametrize("jitter", [0.0, 0.5, 0.999])
def test_a_rest_is_half_to_all_of_the_longest(jitter: float) -> None:
    rests = Rests(jitter=lambda: jitter)

    assert 0.5 <= rests.failed("pole", UNFIT) <= 1.0


def test_a_played_task_begins_the_rests_of_its_experiment_anew(rests: Rests) -> None:
    for _ in range(5):
        rests.failed("pole", UNFIT)
    rests.played("pole")

    assert rests.failed("pole", UNFIT) == 1.0


def test_other_experiments_do_not_wait_longer(rests: Rests) -> None:
    for _ in range(5):
        rests.failed("pole", UNFIT)

    assert rests.failed("pong", UNFIT) == 1.0


def test_a_process_that_plays_another_experiment_rests_two_seconds_at_most(
    rests: Rests, clock: Clock
) -> None:
    for _ in range(5):
        rests.failed("pole", UNFIT)
    rests.played("pong")

    assert rests.failed("pole", UNFIT) == BUSY_REST_S
    clock.now_s += 61
    assert rests.failed("pole", UNFIT) == 30


def test_what_is_remembered_of_experiments_is_bounded(rests: Rests) -> None:
    for number in range(10_000):
        rests.failed(f"e{number}", UNFIT)
        rests.played(f"e{number}")

    assert len(rests._in_a_row) <= 256
    assert len(rests._played_s) <= 256


@pytest.mark.parametrize(
    ("error", "growth"),
    [
        (MissingExtraError("atari", "playing"), UNFIT),
        (UnknownNameError("environment", "Pole", ["Pong"]), UNFIT),
        (ConfigError("no permission"), UNFIT),
        (EnvironmentMismatchError("other spaces"), UNFIT),
        (EnvironmentFailedError("a step", kind="OSError"), FAILED),
        (MessageError("hash", "torn"), FAILED),
        (RuntimeError("no idea"), FAILED),
        (ServiceUnreachableError("away"), AWAY),
        (ServiceUnreachableError("reads its data", kind="loading"), AWAY),
        (ServiceUnreachableError("wrong password", kind="wrongpass"), UNFIT),
        (ServiceUnreachableError("no login", kind="noauth"), UNFIT),
        (ServiceUnreachableError("no permission", kind="noperm"), UNFIT),
        (ServiceUnreachableError("another authority", kind="certificate"), UNFIT),
    ],
)
def test_how_long_depends_on_who_can_mend_it(error: Exception, growth: object) -> None:
    assert growth_of(error) is growth
    assert is_unfit(error) == (growth is UNFIT)
