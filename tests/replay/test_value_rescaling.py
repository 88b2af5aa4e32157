"""Given values before and after rescaling."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tinyqueue.replay.value_rescaling import rescale, unscale


def test_known_values() -> None:
    # h(100) = √101 − 1 + 0.1;  h(3) = 2 − 1 + 0.003;  h(−3) = −h(3)
    found = rescale(np.array([100.0, 3.0, 0.0, -3.0]))
    np.testing.assert_allclose(found, [9.1498756, 1.003, 0.0, -1.003], atol=1e-7)


def test_known_values_come_back() -> None:
    found = unscale(np.array([9.1498756, 1.003, 0.0, -1.003]))
    np.testing.assert_allclose(found, [100.0, 3.0, 0.0, -3.0], atol=1e-5)


@given(st.floats(-1e6, 1e6))
def test_each_undoes_the_other(value: float) -> None:
    np.testing.assert_allclose(unscale(rescale(np.array([value]))), [value], rtol=1e-6, atol=1e-9)
