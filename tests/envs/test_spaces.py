"""Gymnasium spaces as data, and values across that border."""

import numpy as np
import pytest
from gymnasium import spaces

from tinyqueue.data.spaces import Leaf
from tinyqueue.envs.spaces import Layout, empty
from tinyqueue.errors import ConfigError


def layout(space):
    return Layout(space, "the observations of Maze-v0")


def test_a_box_keeps_bounds_that_all_its_elements_share():
    assert layout(spaces.Box(0, 255, (84, 84), np.uint8)).space == {
        "": Leaf("uint8", (84, 84), low=0.0, high=255.0)
    }


def test_unbounded_and_mixed_bounds_are_none():
    mixed = spaces.Box(np.array([-1, -np.inf], np.float32), np.array([1, 2], np.float32))
    assert layout(mixed).space == {"": Leaf("float32", (2,))}


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_other_floats_travel_as_float32(dtype):
    assert layout(spaces.Box(-1, 1, (3,), dtype)).space[""].dtype == "float32"


@pytest.mark.parametrize(
    ("n", "dtype"), [(2, "uint8"), (256, "uint8"), (257, "uint16"), (70_000, "uint32")]
)
def test_a_discrete_space_takes_the_smallest_integer(n, dtype):
    assert layout(spaces.Discrete(n)).space == {"": Leaf(dtype, (), n=n)}


def test_multi_binary_is_an_array_of_two_values():
    assert layout(spaces.MultiBinary(5)).space == {"": Leaf("uint8", (5,), n=2)}


def test_a_nested_dict_has_one_path_per_leaf():
    nested = spaces.Dict(
        {"arm": spaces.Dict({"angle": spaces.Box(-1, 1, (2,))}), "room": spaces.Discrete(4)}
    )
    assert list(layout(nested).space) == ["arm/angle", "room"]


@pytest.mark.parametrize(
    "space",
    [
        spaces.Tuple([spaces.Discrete(2)]),
        spaces.Text(3),
        spaces.MultiDiscrete([2, 3]),
        spaces.Box(0, 1, (0,)),
        spaces.Dict({"inner": spaces.Text(3)}),
    ],
)
def test_another_space_is_refused_by_name(space):
    with pytest.raises(ConfigError, match=r"the observations of Maze-v0 contain the space"):
        layout(space)


@pytest.mark.parametrize("key", ["a/b", ""])
def test_a_key_that_makes_a_path_ambiguous_is_refused(key):
    with pytest.raises(ConfigError, match="key"):
        layout(spaces.Dict({key: spaces.Discrete(2)}))


def test_discrete_values_are_counted_from_zero_and_given_back_from_start():
    signs = layout(spaces.Discrete(3, start=-1))
    rows = empty(signs.space, 3)
    signs.write(np.array([-1, 0, 1]), rows)
    assert rows[""].tolist() == [0, 1, 2]
    assert rows[""].dtype == np.uint8
    back = signs.unflatten(rows)
    assert back.tolist() == [-1, 0, 1]
    assert back.dtype == np.int64


def test_dict_values_go_to_their_paths_and_back():
    nested = layout(
        spaces.Dict(
            {
                "arm": spaces.Dict({"angle": spaces.Box(-1, 1, (2,), np.float64)}),
                "room": spaces.Discrete(4, start=1),
            }
        )
    )
    values = {"arm": {"angle": np.array([[0.5, -0.5], [1.0, 0.0]])}, "room": np.array([1, 4])}
    rows = empty(nested.space, 2)
    nested.write(values, rows)
    assert rows["arm/angle"].tolist() == [[0.5, -0.5], [1.0, 0.0]]
    assert rows["arm/angle"].dtype == np.float32
    assert rows["room"].tolist() == [0, 3]
    back = nested.unflatten(rows)
    assert back["arm"]["angle"].dtype == np.float64
    assert back["arm"]["angle"].tolist() == [[0.5, -0.5], [1.0, 0.0]]
    assert back["room"].tolist() == [1, 4]
