"""Given values that change over a run."""

from __future__ import annotations

import pytest

from tinyqueue.data.schedules import Constant, Linear


@pytest.mark.parametrize(
    ("env_steps", "value"), [(-5, 1.0), (0, 1.0), (25, 0.75), (50, 0.5), (100, 0.0), (10**9, 0.0)]
)
def test_a_linear_schedule_is_straight_between_its_ends(env_steps: int, value: float) -> None:
    assert Linear(1.0, 0.0, 100)(env_steps) == value


def test_a_linear_schedule_may_rise() -> None:
    assert Linear(0.4, 1.0, 10)(5) == pytest.approx(0.7)


def test_over_no_steps_the_end_is_there_at_once() -> None:
    assert Linear(1.0, 0.25, 0)(0) == 0.25


def test_a_constant_stays() -> None:
    assert [Constant(0.5)(step) for step in (0, 10**9)] == [0.5, 0.5]
