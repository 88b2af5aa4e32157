from __future__ import annotations

import numpy as np
import pytest

from tinyqueue.policy.heads.exploration import Annealed, BySlot


def test_the_slots_of_a_stage_cover_the_whole_range() -> None:
    # Given the hash of "abc": 0xd8bb14d833d59559 / 2⁶⁴ = 0.846605
    epsilons = BySlot(schedule="by-slot").epsilons("abc", 4, 0)
    # Then u = .846605, .096605, .346605, .596605, and ε = 0.4^(1 + 7u)
    expected = [0.001752972, 0.215258368, 0.043307691, 0.008713046]
    assert epsilons.tolist() == pytest.approx(expected, rel=1e-6)


def test_the_paper_s_exploration_rates_are_the_ends_of_the_range() -> None:
    # Given many slots, so that u comes near 0 and near 1
    epsilons = BySlot(schedule="by-slot").epsilons("any stage", 10_000, 0)
    # Then they reach from 0.4^8 to 0.4
    assert epsilons.max() == pytest.approx(0.4, rel=1e-3)
    assert epsilons.min() == pytest.approx(0.4**8, rel=1e-3)


def test_a_stage_explores_the_same_at_all_times_and_another_one_differently() -> None:
    by_slot = BySlot(schedule="by-slot", base=0.3, power=2)
    first = by_slot.epsilons("a", 8, 0)
    assert np.array_equal(first, by_slot.epsilons("a", 8, 10**9))
    assert not np.array_equal(first, by_slot.epsilons("b", 8, 0))


@pytest.mark.parametrize(
    ("env_steps", "epsilon"), [(0, 1.0), (250, 0.775), (1000, 0.1), (5000, 0.1)]
)
def test_one_epsilon_falls_in_a_straight_line_and_stays(env_steps: int, epsilon: float) -> None:
    annealed = Annealed(schedule="annealed", start=1, end=0.1, steps=1000)
    assert annealed.epsilons("a", 3, env_steps).tolist() == pytest.approx([epsilon] * 3)
