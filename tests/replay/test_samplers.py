"""Given items of known priorities."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinyqueue.replay.plan import Prioritisation
from tinyqueue.replay.samplers import PrioritisedSampler, Sampler, UniformSampler

DRAWS = 100_000
χ2_999 = {4: 18.47, 9: 27.88}
"""By degrees of freedom: what a fair sampler exceeds once in a thousand seeds."""


def prioritised(capacity: int = 100, **changes: float) -> PrioritisedSampler:
    plan: dict[str, Any] = {
        "exponent": 1.0,
        "importance": 0.5,
        "importance_end": 0.5,
        "importance_steps": 0,
    }
    given = plan | {"floor": 0.0, "epsilon": 0.0} | changes
    return PrioritisedSampler(capacity, Prioritisation(**given))


def counts(sampler: Sampler, rows: np.ndarray) -> np.ndarray:
    drawn = sampler.draw(np.random.default_rng(7), DRAWS, 0).rows
    found = np.array([np.count_nonzero(drawn == row) for row in rows])
    assert found.sum() == DRAWS
    return found


def χ2(found: np.ndarray, chances: np.ndarray) -> float:
    expected = chances / chances.sum() * DRAWS
    return float(((found - expected) ** 2 / expected).sum())


def test_uniform_draws_fit_by_χ2() -> None:
    rows = np.array([0, 3, 4, 50, 51, 52, 53, 80, 98, 99])
    sampler = UniformSampler(100)
    sampler.add(rows, np.full(10, np.nan))
    assert χ2(counts(sampler, rows), np.ones(10)) < χ2_999[9]


@pytest.mark.parametrize("exponent", [0.0, 0.6, 1.0])
def test_prioritised_draws_fit_by_χ2(exponent: float) -> None:
    rows, errors = np.array([0, 7, 8, 63, 99]), np.array([0.5, 1.0, 2.0, 3.0, 10.0])
    sampler = prioritised(exponent=exponent)
    sampler.add(rows, errors)
    assert χ2(counts(sampler, rows), errors**exponent) < χ2_999[4]


def test_the_floor_draws_what_has_hardly_any_priority() -> None:
    rows = np.arange(5)
    sampler = prioritised(floor=0.25)
    sampler.add(rows, np.array([1e-12, 1e-12, 1.0, 1e-12, 1e-12]))
    chances = np.array([0.05, 0.05, 0.8, 0.05, 0.05])
    assert χ2(counts(sampler, rows), chances) < χ2_999[4]


def test_importance_weights_are_relative_to_the_largest_of_the_batch() -> None:
    sampler = prioritised()
    sampler.add(np.arange(3), np.array([1.0, 4.0, 16.0]))
    drawn = sampler.draw(np.random.default_rng(1), 500, 0)
    # (N·P)^−½ = √(21/3p): in the ratio 1 : 1/2 : 1/4.
    expected = np.array([1.0, 0.5, 0.25], np.float32)[drawn.rows]
    assert set(drawn.rows.tolist()) == {0, 1, 2}
    np.testing.assert_allclose(drawn.weights, expected, rtol=1e-6)


def test_importance_goes_to_its_end_with_the_updates() -> None:
    sampler = prioritised(importance=0.0, importance_end=1.0, importance_steps=10)
    sampler.add(np.arange(2), np.array([1.0, 4.0]))

    def lightest(updates: int) -> float:
        return float(sampler.draw(np.random.default_rng(1), 100, updates).weights.min())

    assert [lightest(updates) for updates in (0, 5, 10, 99)] == [1.0, 0.5, 0.25, 0.25]


def test_an_unknown_priority_is_the_largest_so_far() -> None:
    sampler = prioritised()
    sampler.add(np.array([0]), np.array([np.nan]))
    sampler.add(np.array([1, 2]), np.array([np.nan, 7.0]))
    sampler.update(np.array([2]), np.array([0.5]))
    sampler.add(np.array([3]), np.array([np.nan]))
    assert sampler.snapshot(np.array([0]), 5)["priorities"].tolist() == [[1.0, 7.0, 0.5, 7.0, 0.0]]


def test_ε_keeps_an_error_of_zero_alive() -> None:
    sampler = prioritised(epsilon=0.25)
    sampler.add(np.array([1]), np.array([0.0]))
    assert sampler.snapshot(np.array([0]), 2)["priorities"].tolist() == [[0.0, 0.25]]


@pytest.mark.parametrize("sampler", [prioritised(floor=0.5), UniformSampler(100)])
def test_what_was_discarded_is_not_drawn(sampler: Sampler) -> None:
    sampler.add(np.arange(20), np.ones(20))
    sampler.discard(np.array([0, 1, 50]))
    sampler.clear(10, 90)
    assert sampler.size == 8
    drawn = sampler.draw(np.random.default_rng(3), 1000, 0).rows
    assert set(drawn.tolist()) == set(range(2, 10))


@pytest.mark.parametrize("make", [lambda: prioritised(floor=0.1), lambda: UniformSampler(100)])
def test_the_same_generator_draws_the_same(make: Callable[[], Sampler]) -> None:
    found = []
    for _ in range(2):
        sampler = make()
        sampler.add(np.arange(50), np.linspace(0.1, 5, 50))
        drawn = sampler.draw(np.random.default_rng(11), 200, 0)
        found.append((drawn.rows.tobytes(), drawn.weights.tobytes()))
    assert found[0] == found[1]
