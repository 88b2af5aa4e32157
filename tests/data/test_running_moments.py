"""Running moments: those of everything at once, whatever the order and the size of the parts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tinyqueue.data.running_moments import RunningMoments

NUMBERS = st.floats(-1e6, 1e6, width=32)
PARTS = st.lists(
    st.integers(0, 9).flatmap(lambda n: arrays.arrays(np.float32, (n, 3), elements=NUMBERS)),
    min_size=1,
    max_size=8,
)


def moments_of(parts):
    moments = RunningMoments((3,))
    for part in parts:
        moments.add(part)
    return moments


@given(PARTS)
def test_parts_have_the_moments_of_the_whole(parts):
    moments = moments_of(parts)

    whole = np.concatenate(parts).astype(np.float64)
    assert moments.count == len(whole)
    if len(whole):
        # As far as float64 tells numbers of this size apart.
        scale = max(1.0, float(np.abs(whole).max()))
        np.testing.assert_allclose(moments.mean, whole.mean(0), atol=1e-12 * scale)
        np.testing.assert_allclose(moments.variance, whole.var(0), atol=1e-10 * scale**2)


def test_moments_by_hand():
    moments = moments_of([np.array([[1, 0, 5], [3, 0, 5]]), np.array([[8, 3, 5]])])

    assert moments.mean.tolist() == [4.0, 1.0, 5.0]
    assert moments.variance == pytest.approx([(9 + 1 + 16) / 3, (1 + 1 + 4) / 3, 0.0])


def test_far_from_zero_a_small_variance_is_not_lost():
    # Given numbers whose squares differ beyond the digits of float64
    rng = np.random.default_rng(0)
    values = 1e9 + rng.normal(0, 1e-2, (1000, 3))

    # When they are added in parts
    moments = moments_of(np.split(values, 10))

    # Then their variance is right to four digits
    np.testing.assert_allclose(moments.variance, values.var(0), rtol=1e-4)


def test_the_same_number_again_and_again_has_no_variance():
    moments = moments_of([np.full((n, 3), np.float32(0.1)) for n in range(1, 200)])

    assert moments.variance.max() < 1e-30
    assert moments.mean.astype(np.float32).tolist() == [np.float32(0.1)] * 3


def test_restored_moments_go_on_as_if_nothing_had_happened():
    # Given moments that were saved half way
    parts = [np.random.default_rng(n).normal(n, 1 + n, (7, 3)) for n in range(6)]
    saved = {name: array.copy() for name, array in moments_of(parts[:3]).state().items()}

    # When others are restored from them and see the rest
    restored = RunningMoments((3,))
    restored.restore(saved)
    for part in parts[3:]:
        restored.add(part)

    # Then they are equal bit by bit
    whole = moments_of(parts).state()
    for name, array in restored.state().items():
        assert array.tobytes() == whole[name].tobytes()


def test_moments_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"shape \(3,\)"):
        RunningMoments((2,)).restore(moments_of([]).state())
