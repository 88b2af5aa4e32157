"""Given spaces as data."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyqueue.data.spaces import (
    Leaf,
    Space,
    described,
    smallest_integer_dtype,
    space_from_json,
    space_to_json,
    stacked,
)

BOUND = st.none() | st.floats(allow_nan=False, allow_infinity=False)
LEAVES = st.builds(
    Leaf,
    dtype=st.sampled_from(["uint8", "float32", "int64"]),
    shape=st.lists(st.integers(1, 300), max_size=4).map(tuple),
    n=st.integers(0, 10**6),
    low=BOUND,
    high=BOUND,
    nvec=st.lists(st.integers(1, 300), max_size=3).map(tuple),
)


@given(space=st.dictionaries(st.text(max_size=10), LEAVES, max_size=5))
def test_a_space_survives_json_with_the_order_of_its_paths(space: Space) -> None:
    found = space_from_json(json.loads(json.dumps(space_to_json(space))))

    assert found == space
    assert list(found) == list(space)


def test_what_is_at_its_default_is_left_out_of_json() -> None:
    keys = ["dtype", "shape", "n", "low", "high"]
    assert list(Leaf("uint8", (), n=2).to_json()) == keys
    assert list(Leaf("float32", (3,), low=-1.0, high=1.0).to_json()) == keys
    assert Leaf("uint8", (2,), n=3, nvec=(2, 3)).to_json()["nvec"] == [2, 3]


def test_entries_are_counted_one_by_one_or_all_alike() -> None:
    assert Leaf("uint8", (), n=7).counts == (7,)
    assert Leaf("int8", (2, 2), n=2).counts == (2, 2, 2, 2)
    assert Leaf("uint8", (3,), n=5, nvec=(2, 5, 3)).counts == (2, 5, 3)


@pytest.mark.parametrize(
    ("space", "said"),
    [
        ({"": Leaf("uint8", (), n=3)}, "one of 3 values"),
        ({"keys": Leaf("uint8", (2,), n=4, nvec=(2, 4))}, "choices of 2, 4 values at 'keys'"),
        ({"": Leaf("int8", (2, 3), n=2)}, "6 choices of 2 values of shape (2, 3)"),
        (
            {"arm": Leaf("float32", (2,), low=-1.0, high=1.0), "leg": Leaf("float32", ())},
            "2 numbers from -1 to 1 at 'arm', a number at 'leg'",
        ),
    ],
)
def test_a_space_is_told_in_words(space: Space, said: str) -> None:
    assert described(space) == said


def test_infinite_bounds_are_no_bounds() -> None:
    value = {"dtype": "float32", "shape": [2], "n": 0, "low": float("-inf"), "high": 1}

    leaf = Leaf.from_json(value)

    assert (leaf.low, leaf.high) == (None, 1.0)


def test_a_leaf_with_values_to_count_is_discrete() -> None:
    assert Leaf("uint8", (), 2).is_discrete
    assert not Leaf("uint8", (84, 84)).is_discrete


@pytest.mark.parametrize(
    ("n", "dtype"),
    [
        (1, "uint8"),
        (256, "uint8"),
        (257, "uint16"),
        (65_536, "uint16"),
        (65_537, "uint32"),
        (2**32, "uint32"),
        (2**32 + 1, "int64"),
    ],
)
def test_the_smallest_type_holds_the_largest_value_and_no_smaller_one_does(
    n: int, dtype: str
) -> None:
    assert smallest_integer_dtype(n) == dtype
    assert int(np.array(n - 1, dtype)) == n - 1


def test_a_stacked_space_has_the_frames_in_front_and_remembers_the_frame():
    screen = {"": Leaf("uint8", (84, 84), low=0.0, high=255.0), "place": Leaf("uint8", (), n=3)}

    seen = stacked(screen, 4)

    assert {path: leaf.shape for path, leaf in seen.items()} == {"": (4, 84, 84), "place": (4,)}
    assert {path: leaf.frame for path, leaf in seen.items()} == screen
    assert space_from_json(space_to_json(seen)) == seen
    assert stacked(screen, 1) == screen
    assert "stack" not in space_to_json(screen)[""]
