"""What a program may give as a setting."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyqueue.errors import ConfigError
from tinyqueue.experiment.documents import with_overrides
from tinyqueue.experiment.values import assignments, number, plain, whole

SCALARS = st.one_of(
    st.booleans(), st.integers(-(2**31), 2**31 - 1), st.floats(allow_nan=False), st.text()
)
NESTED = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def disguised(value):
    """The same value as a program that works with NumPy may hold it."""
    if isinstance(value, bool):
        return np.bool_(value)
    if isinstance(value, int):
        return np.int64(value)
    if isinstance(value, float):
        return np.float64(value)
    if isinstance(value, list):
        return tuple(disguised(item) for item in value)
    if isinstance(value, dict):
        return {name: disguised(item) for name, item in value.items()}
    return value


@given(NESTED)
def test_numpys_values_and_tuples_are_what_they_stand_for(value):
    found = plain(disguised(value), "environment.kwargs.x")

    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        (np.array([[1, 2], [3, 4]], np.uint8), [[1, 2], [3, 4]]),
        (np.array(3), 3),
        (np.array(["a"]), ["a"]),
        (np.float32(0.5), 0.5),
        (np.str_("lz4"), "lz4"),
        (Path("/tmp/x"), "/tmp/x"),
        (Path("~/x"), str(Path.home() / "x")),
        ([Path("a"), (np.int8(1),)], ["a", [1]]),
    ],
)
def test_arrays_and_paths_become_lists_and_texts(value, meant):
    assert plain(value, "key") == meant


@pytest.mark.parametrize(
    "settings",
    [
        {"algorithm.gamma": 1j},
        {"algorithm": {"gamma": object()}},
        {"algorithm.gamma": b"0.9"},
        {"algorithm.gamma": {0.9}},
        {"algorithm.gamma": [0.9, None, [lambda: 0]]},
    ],
)
def test_what_cannot_be_a_setting_is_refused_with_its_key(settings):
    with pytest.raises(ConfigError, match=r"^algorithm\.gamma.* cannot be a setting"):
        list(assignments(settings))


def test_tables_are_merged_into_what_is_there():
    document = {"environment": {"id": "Mine-v0", "kwargs": {"size": 3, "goal": {"x": 1}}}}
    given_ = {"environment": {"kwargs": {"goal": {"y": np.int64(2)}, "maps": [(0, 1)]}}}

    assert with_overrides(document, assignments(given_)) == {
        "environment": {
            "id": "Mine-v0",
            "kwargs": {"size": 3, "goal": {"x": 1, "y": 2}, "maps": [[0, 1]]},
        }
    }


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3), np.array(3)])
def test_whole_numbers_may_be_numpys(value):
    assert whole("seed", value) == 3
    assert number("stop_at_return", value) == 3.0


@pytest.mark.parametrize("value", [3.5, np.float32(3), "3", True, np.bool_(True), [3]])
def test_what_is_no_whole_number_is_refused_with_its_name(value):
    with pytest.raises(ConfigError, match=r"^seed = .* must be a whole number\.$"):
        whole("seed", value)


@pytest.mark.parametrize("value", ["475", True, float("nan"), [475.0], object])
def test_what_is_no_number_is_refused_with_its_name(value):
    with pytest.raises(ConfigError, match=r"^stop_at_return"):
        number("stop_at_return", value)
