from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyqueue.data.spaces import Leaf
from tinyqueue.errors import MessageError
from tinyqueue.wire.magnitudes import LEAST_LIMIT, UNBOUNDED, limit_of, require_within

DTYPES = ("float16", "float32", "float64")


@given(
    dtype=st.sampled_from(DTYPES),
    value=st.sampled_from([math.inf, -math.inf, math.nan]),
    limit=st.floats(min_value=LEAST_LIMIT),
)
def test_infinity_and_nan_are_within_no_limit(dtype: str, value: float, limit: float) -> None:
    with pytest.raises(MessageError) as refusal:
        require_within("x", np.array([0.0, value], dtype), limit)
    assert refusal.value.reason == "not-finite"


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_limit_beyond_what_a_dtype_holds_takes_all_of_its_finite_numbers(dtype: str) -> None:
    most = np.finfo(dtype).max
    require_within("x", np.array([most, -most], dtype), math.inf)


@given(seen=st.floats(min_value=0.0))
def test_a_limit_is_bounded_whatever_the_trial_has_seen(seen: float) -> None:
    assert LEAST_LIMIT <= limit_of(Leaf("float32", (1,)), seen) <= UNBOUNDED
