"""Gymnasium spaces as data, and values across that border."""

from typing import Any, cast

import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.utils.env_checker import data_equivalence
from gymnasium.vector.utils import batch_space, concatenate, create_empty_array, iterate

from tinyqueue.data.spaces import Leaf
from tinyqueue.envs.spaces import Layout, action_layout, empty, require_equal
from tinyqueue.errors import ConfigError, EnvironmentMismatchError


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


UNSUPPORTED = [
    spaces.Text(3),
    spaces.Box(0, 1, (0,)),
    spaces.Sequence(spaces.Discrete(2)),
    spaces.Graph(spaces.Box(0, 1, (2,)), None),
    spaces.OneOf([spaces.Discrete(2), spaces.Box(0, 1)]),
]


@pytest.mark.parametrize("space", UNSUPPORTED)
def test_another_space_is_refused_by_name(space):
    with pytest.raises(ConfigError, match=r"the observations of Maze-v0 contain the space"):
        layout(space)


@pytest.mark.parametrize("space", UNSUPPORTED)
def test_another_space_inside_is_refused_with_its_path(space):
    nested = spaces.Dict({"map": spaces.Tuple([spaces.Discrete(2), space])})
    with pytest.raises(ConfigError, match=r"at 'map/1', which is not supported"):
        layout(nested)


@pytest.mark.parametrize("space", [spaces.Dict({}), spaces.Tuple([])])
def test_a_space_that_holds_nothing_is_refused(space):
    with pytest.raises(ConfigError, match="which is empty"):
        layout(space)


def test_a_tuple_has_a_path_per_number_and_comes_back_as_a_tuple():
    hands = layout(
        spaces.Tuple([spaces.Discrete(32), spaces.Dict({"ace": spaces.Discrete(2, start=5)})])
    )
    assert hands.space == {"0": Leaf("uint8", (), n=32), "1/ace": Leaf("uint8", (), n=2)}
    rows = empty(hands.space, 3)
    hands.write((np.array([31, 4, 0]), {"ace": np.array([5, 6, 5])}), rows)
    assert rows["0"].tolist() == [31, 4, 0]
    assert rows["1/ace"].tolist() == [0, 1, 0]
    numbers, named = hands.unflatten(rows)
    assert numbers.tolist() == [31, 4, 0]
    assert named["ace"].tolist() == [5, 6, 5]


def test_multi_discrete_values_share_one_range_that_begins_at_nought():
    switches = layout(spaces.MultiDiscrete([2, 3], start=[-1, 4]))
    assert switches.space == {"": Leaf("uint8", (2,), n=8)}
    rows = empty(switches.space, 2)
    switches.write(np.array([[-1, 4], [0, 6]]), rows)
    assert rows[""].tolist() == [[0, 5], [1, 7]]
    assert switches.unflatten(rows).tolist() == [[-1, 4], [0, 6]]


def any_space(rng, depth=0):
    """A space of any supported kind, nested up to three deep."""
    kind = rng.integers(4 if depth == 3 else 6)
    if kind < 4:
        return (
            spaces.Discrete(int(rng.integers(1, 600)), start=int(rng.integers(-9, 9))),
            spaces.MultiDiscrete(rng.integers(1, 300, (2, 2)), start=rng.integers(-9, 9, (2, 2))),
            spaces.MultiBinary(3),
            spaces.Box(-1, 1, (2, 3), np.float64),
        )[kind]
    inner = [any_space(rng, depth + 1) for _ in range(rng.integers(1, 4))]
    if kind == 4:
        return spaces.Tuple(inner)
    return spaces.Dict({f"part{i}": part for i, part in enumerate(inner)})


@pytest.mark.parametrize("seed", range(40))
def test_values_of_any_supported_space_go_to_arrays_and_back(seed):
    space = any_space(np.random.default_rng(seed))
    flat = layout(space)
    space.seed(seed)
    values = [space.sample() for _ in range(3)]
    batched = concatenate(space, values, cast(Any, create_empty_array(space, 3)))
    rows = empty(flat.space, 3)
    flat.write(batched, rows)
    for path, leaf in flat.space.items():
        if leaf.is_discrete:
            assert rows[path].max() < leaf.n
    again = empty(flat.space, 3)
    flat.write(flat.unflatten(rows), again)
    for path in rows:
        np.testing.assert_array_equal(rows[path], again[path])
    for value, back in zip(
        values, iterate(batch_space(space, 3), flat.unflatten(rows)), strict=True
    ):
        flats: list[Any] = [spaces.flatten(space, x) for x in (value, back)]
        assert data_equivalence(value, back) or np.allclose(*flats)


def acted(space, actions):
    """What an environment with these actions is given, path → [B, …]."""
    return action_layout(space, "Maze-v0").unflatten(actions)


@pytest.mark.parametrize("space", [spaces.Discrete(3), spaces.Discrete(3, start=-1)])
def test_a_discrete_action_counts_from_zero(space):
    assert action_layout(space, "Maze-v0").space == {"": Leaf("uint8", (), n=3)}
    given = acted(space, {"": np.array([0, 2], np.uint8)})
    assert given.tolist() == [space.start, space.start + 2]
    assert given.dtype == np.int64


def test_entries_of_multi_discrete_actions_are_counted_one_by_one():
    first = np.array([[-1, 4], [0, 7]])
    switches = spaces.MultiDiscrete(np.array([[2, 300], [3, 1]]), start=first)
    assert action_layout(switches, "Maze-v0").space == {
        "": Leaf("uint16", (2, 2), n=300, nvec=(2, 300, 3, 1))
    }
    given = acted(switches, {"": np.array([[[0, 0], [0, 0]], [[1, 299], [2, 0]]], np.uint16)})
    assert given.tolist() == [[[-1, 4], [0, 7]], [[0, 303], [2, 7]]]
    assert all(action in switches for action in given)


def test_multi_binary_actions_are_zeros_and_ones():
    lamps = spaces.MultiBinary(3)
    assert action_layout(lamps, "Maze-v0").space == {"": Leaf("uint8", (3,), n=2)}
    (given,) = acted(lamps, {"": np.array([[0, 1, 1]], np.uint8)})
    assert given in lamps


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_bounded_box_is_rescaled_element_by_element_and_clipped(dtype):
    # Given a steering wheel from −0.1 to 0.3 and a pedal from 0 to 1000
    car = spaces.Box(np.array([-0.1, 0], dtype), np.array([0.3, 1000], dtype), dtype=dtype)
    assert action_layout(car, "Maze-v0").space == {"": Leaf("float32", (2,), low=-1.0, high=1.0)}
    drawn = np.array([[-1, -1], [1, 1], [0, 0.5], [-7, 1.001]], np.float32)
    before = drawn.copy()
    # When what a policy drew comes to the environment
    given = acted(car, {"": drawn})
    # Then −1 and 1 are the bounds exactly, the rest lies between, and more is cut off
    assert given.dtype == dtype
    for bound, row in ((car.low, 0), (car.high, 1)):
        np.testing.assert_array_equal(given[row], bound)
    np.testing.assert_allclose(given[2], [0.1, 750], rtol=1e-3)
    np.testing.assert_array_equal(given[3], [car.low[0], car.high[1]])
    assert all(action in car for action in given)
    # And what was drawn stays as it was, for it travels
    np.testing.assert_array_equal(drawn, before)


@pytest.mark.parametrize("huge", [np.inf, np.finfo(np.float32).max])
def test_a_box_without_all_its_bounds_is_counted_from_those_it_has(huge):
    half = spaces.Box(np.array([-huge, 0, -1], np.float32), np.array([huge, huge, 2], np.float32))
    assert action_layout(half, "Maze-v0").space == {"": Leaf("float32", (3,))}
    given = acted(
        half, {"": np.array([[-50, -50, -50], [50, 50, 50], [0.5, 0.25, 0.5]], np.float32)}
    )
    assert given.tolist() == [[-50, 0, -1], [50, 50, 2], [0.5, 0.25, 1.25]]
    free = spaces.Box(-huge, huge, (1,))
    assert acted(free, {"": np.array([[-1e30], [1e30]], np.float32)}).tolist() == [
        [np.float32(-1e30)],
        [np.float32(1e30)],
    ]


def test_a_box_with_other_bounds_is_another_space():
    here, wanted = (action_layout(spaces.Box(-1, high, (2,)), "Arm-v0").space for high in (1, 2))
    require_equal("the actions of Arm-v0", here, here)
    with pytest.raises(EnvironmentMismatchError, match=r"'high': \[1\.0\].*'high': \[2\.0\]"):
        require_equal("the actions of Arm-v0", here, wanted)


def test_a_box_with_one_possible_value_gives_it():
    still = spaces.Box(np.array([3, -1], np.float32), np.array([3, 1], np.float32))
    assert acted(still, {"": np.array([[0.7, 0.5]], np.float32)}).tolist() == [[3.0, 0.5]]


@pytest.mark.parametrize("seed", range(20))
def test_any_actions_within_a_nested_space_belong_to_it(seed):
    rng = np.random.default_rng(seed)
    space = any_space(rng)
    flat = action_layout(space, "Maze-v0")
    actions = {}
    for path, leaf in flat.space.items():
        shape = (4, *leaf.shape)
        if leaf.is_discrete:
            counts = np.reshape(leaf.counts, leaf.shape)
            actions[path] = rng.integers(counts, size=shape).astype(leaf.dtype)
        else:
            actions[path] = rng.normal(size=shape).astype(np.float32)
    given = flat.unflatten(actions)
    for value in iterate(batch_space(space, 4), given):
        assert value in space
    # And they come back, but for what was cut off
    rows = empty(flat.space, 4)
    flat.write(given, rows)
    for path, leaf in flat.space.items():
        expected = actions[path] if leaf.is_discrete else np.clip(actions[path], -1, 1)
        np.testing.assert_allclose(rows[path], expected, atol=1e-6)


INTEGER_BOX = spaces.Box(0, 255, (3,), np.uint8)


@pytest.mark.parametrize("space", [*UNSUPPORTED, INTEGER_BOX])
def test_other_actions_are_refused_by_path_and_kind(space):
    with pytest.raises(ConfigError, match="the actions of Maze-v0 contain the space") as raised:
        action_layout(space, "Maze-v0")
    assert f"contain the space {space}, which is not supported" in str(raised.value)
    nested = spaces.Dict({"arm": spaces.Tuple([spaces.Discrete(2), space])})
    with pytest.raises(ConfigError) as raised:
        action_layout(nested, "Maze-v0")
    assert f"contain the space {space} at 'arm/1', which is not supported" in str(raised.value)


def test_actions_that_hold_nothing_are_refused():
    with pytest.raises(ConfigError, match="something to do"):
        action_layout(spaces.Dict({}), "Maze-v0")


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


def test_spaces_that_are_functions_are_told_apart_from_unsupported_ones():
    def of_agent(agent: str) -> spaces.Space[Any]:
        return spaces.Discrete(2)

    with pytest.raises(ConfigError, match=r"is a function, not one of .*several agents"):
        Layout(cast("Any", of_agent), "the observations of Zoo-v0")
    with pytest.raises(ConfigError, match="is of type int, not one of"):
        Layout(cast("Any", 4), "the observations of Zoo-v0")
