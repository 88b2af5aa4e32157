"""Given a sum-tree and a plain list of the same values."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tinyqueue.replay.sum_tree import SumTree

VALUES = st.sampled_from([0.0, 1e-9, 0.1, 1.0, 3.0, 1e6])


class AgainstAList(RuleBasedStateMachine):
    """Sums in the tree may differ from the list's by rounding, never by a value."""

    @initialize(capacity=st.sampled_from([1, 2, 7, 2048, 2049, 5000, 10_007]))
    def begin(self, capacity: int) -> None:
        self.tree = SumTree(capacity)
        self.values = [0.0] * capacity

    @rule(places=st.lists(st.floats(0, 1, exclude_max=True), max_size=20), data=st.data())
    def set(self, places: list[float], data: st.DataObject) -> None:
        indices = [int(place * len(self.values)) for place in places]
        values = data.draw(st.lists(VALUES, min_size=len(indices), max_size=len(indices)))
        self.tree.set(np.array(indices, np.int64), np.array(values))
        for index, value in zip(indices, values, strict=True):
            self.values[index] = value

    @rule(place=st.floats(0, 1, exclude_max=True), values=st.lists(VALUES, max_size=40))
    def set_range(self, place: float, values: list[float]) -> None:
        first = int(place * len(self.values))
        values = values[: len(self.values) - first]
        self.tree.set_range(first, np.array(values))
        self.values[first : first + len(values)] = values

    @rule(shares=st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=20))
    def find(self, shares: list[float]) -> None:
        if self.tree.total == 0:
            return
        sums = np.array(shares) * self.tree.total
        running = list(itertools.accumulate(self.values))
        for index, wanted in zip(self.tree.find(sums), sums, strict=True):
            rounding = 1e-9 * running[-1]
            assert self.values[index] > 0
            assert running[index] - self.values[index] <= wanted + rounding
            assert wanted <= running[index] + rounding

    @invariant()
    def holds_the_same(self) -> None:
        every = np.arange(len(self.values))
        assert self.tree.get(every).tolist() == self.values
        assert self.tree.total == pytest.approx(math.fsum(self.values))


TestAgainstAList = AgainstAList.TestCase
TestAgainstAList.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)


def test_every_value_is_found_between_the_sums_around_it() -> None:
    tree = SumTree(5)
    tree.set_range(0, np.array([2.0, 0.0, 1.0, 0.0, 3.0]))
    assert tree.find(np.array([0.0, 1.99, 2.0, 2.99, 3.0, 5.99])).tolist() == [0, 0, 2, 2, 4, 4]


def test_a_sum_that_rounding_made_too_large_finds_the_last_value_above_zero() -> None:
    tree = SumTree(10_000)
    tree.set(np.array([3, 6000]), np.array([0.1, 0.2]))
    assert tree.find(np.array([tree.total, np.nextafter(tree.total, 1)])).tolist() == [6000, 6000]


def test_rounding_finds_no_empty_value() -> None:
    """(a + b) − b may be more than a: what is then left over is less than nothing."""
    rng = np.random.default_rng(0)
    for _ in range(2000):
        tree, (low, high) = SumTree(4096), rng.random(2) * (1.0, 10.0)
        tree.set(np.array([0, 3]), np.array([low, high]))
        found = tree.find(np.nextafter(low, [0.0, 10.0]))
        assert (tree.get(found) > 0).all(), (low, high)
