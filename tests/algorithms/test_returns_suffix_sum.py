from __future__ import annotations

import numpy as np
import pytest

from tinyqueue.algorithms.returns import suffix_sum


def test_a_hand_calculation() -> None:
    # y_2 = 3; y_1 = 2 + 10·3 = 32; y_0 = 1 + 0.5·32 = 17
    result = suffix_sum(np.array([1, 2, 3], np.float32), np.array([0.5, 10, 99], np.float32))
    assert np.asarray(result).tolist() == [17.0, 32.0, 3.0]


@pytest.mark.parametrize("ticks", [1, 2, 3, 4, 5, 7, 8, 20, 31, 32, 33, 80])
def test_every_length_equals_the_loop(ticks: int) -> None:
    rng = np.random.default_rng(ticks)
    deltas = rng.normal(size=(ticks, 3)).astype(np.float32)
    decays = rng.random((ticks, 3)).astype(np.float32) * (rng.random((ticks, 3)) > 0.2)
    expected = np.zeros_like(deltas)
    after = np.zeros(3)
    for t in reversed(range(ticks)):
        after = expected[t] = deltas[t] + decays[t] * after
    np.testing.assert_allclose(np.asarray(suffix_sum(deltas, decays)), expected, atol=1e-5)
