"""Masks as environments give them."""

import numpy as np
import pytest

from tinyqueue.data.masks import allows, allows_something, checked_mask, mask_counts
from tinyqueue.data.spaces import Leaf
from tinyqueue.errors import ConfigError

PAIR = (2, 3)


def test_a_mask_has_as_many_numbers_as_all_entries_have_values():
    assert mask_counts({"": Leaf("uint8", (), n=4)}) == (4,)
    assert mask_counts({"arm": Leaf("uint8", (2,), n=3, nvec=PAIR)}) == PAIR


@pytest.mark.parametrize(
    "space",
    [
        {"": Leaf("float32", (2,), low=-1.0, high=1.0)},
        {"": Leaf("uint8", (3,), n=2)},
        {"": Leaf("uint8", (1, 2), n=3, nvec=PAIR)},
        {"a": Leaf("uint8", (), n=2), "b": Leaf("uint8", (), n=2)},
    ],
    ids=["box", "multi-binary", "two axes", "two leaves"],
)
def test_other_spaces_have_no_masks(space):
    with pytest.raises(ConfigError, match="Discrete or MultiDiscrete"):
        mask_counts(space)


@pytest.mark.parametrize(
    "value",
    [
        np.array([1, 0, 0, 1, 1], np.int8),
        [True, False, False, True, True],
        (np.array([1, 0], np.int8), np.array([0, 1, 1], np.int8)),
    ],
    ids=["array", "list", "gymnasium's tuple"],
)
def test_every_form_of_a_mask_becomes_one_row(value):
    mask = checked_mask(value, PAIR)
    assert mask.dtype == bool
    assert mask.tolist() == [True, False, False, True, True]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([1, 1, 1, 1], "5 values of 0 or 1"),
        ([1, 1, 2, 1, 1], "5 values of 0 or 1"),
        (None, "5 values of 0 or 1"),
        ("open", "5 values of 0 or 1"),
        ([1, 1, 0, 0, 0], r"allows no value of entry 1 \(its 3 are places 2 to 4\)"),
        ([0, 0, 0, 0, 0], r"allows no value of entry 0 \(its 2 are places 0 to 1\)"),
    ],
)
def test_what_is_no_mask_is_refused(value, said):
    with pytest.raises(ValueError, match=said):
        checked_mask(value, PAIR)


def test_every_entry_needs_a_value_in_every_row():
    rows = np.array([[[1, 0, 0, 0, 1]], [[0, 1, 1, 1, 1]]], bool)
    assert allows_something(rows, PAIR)
    rows[1, 0, :2] = False
    assert not allows_something(rows, PAIR)


def test_an_action_is_allowed_where_all_of_its_entries_are():
    mask = np.array([[1, 0, 0, 1, 1], [1, 1, 1, 0, 0]], bool)
    actions = np.array([[0, 2], [1, 1]], np.uint8)
    assert allows(mask, actions, PAIR).tolist() == [True, False]
    assert allows(mask[:, :2], actions[:, 0], (2,)).tolist() == [True, True]
