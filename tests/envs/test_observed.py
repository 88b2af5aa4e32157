"""What environments give as observations: cast where it fits the space, else refused."""

import numpy as np
import pytest
from gymnasium import spaces

from tinyqueue.envs.faults import BrokenRuleError
from tinyqueue.envs.observed import Observed

IMAGE = spaces.Box(0, 255, (2, 2), np.uint8)
VECTOR = spaces.Box(-1, 1, (2,), np.float32)
COUNTS = spaces.Box(-2, 5, (2,), np.int16)


def taken(space, value):
    observed = Observed(space, 2)
    observed.take(1, value)
    wrong = observed.check()
    if wrong:
        assert list(wrong) == [1]
        raise wrong[1]
    observed.check_slot(1)
    return observed.values[1]


@pytest.mark.parametrize(
    ("space", "value"),
    [
        (IMAGE, np.full((2, 2), 255, np.int64)),
        (IMAGE, [[0, 1], [2, 255]]),
        (IMAGE, np.full((2, 2), 7.0)),
        (VECTOR, [0.5, -0.5]),
        (VECTOR, (0, 1)),
        (VECTOR, np.array([0.5, 9.0], np.float64)),
        (VECTOR, np.array([0.5, 9], object)),
        (VECTOR, np.array([True, False])),
        (COUNTS, np.array([-2, 5], np.int64)),
        (spaces.Discrete(5), 4),
        (spaces.Discrete(5), np.int64(4)),
        (spaces.Discrete(5), np.array(4)),
        (spaces.Discrete(5), np.array([4])),
        (spaces.Discrete(5), 4.0),
        (spaces.Discrete(3, start=-1), -1),
        (spaces.MultiBinary(2), [True, False]),
        (spaces.MultiDiscrete([3, 2]), (2, 1)),
        (spaces.Box(0, 1, (), np.float32), np.array([0.5])),
        (spaces.Box(0, 1, (1,), np.float32), 0.5),
    ],
)
def test_what_fits_is_cast(space, value):
    result = taken(space, value)
    assert result.dtype == space.dtype
    assert result.shape == space.shape
    assert np.array_equal(result, np.reshape(value, space.shape))


@pytest.mark.parametrize(
    ("space", "value", "kind", "said"),
    [
        (IMAGE, np.full((2, 2), 256), "observation-dtype", r"256 at \[0, 0\].*0 to 255"),
        (IMAGE, np.full((2, 2), 0.5), "observation-dtype", "0.5"),
        (IMAGE, np.zeros((2, 3), np.uint8), "observation-shape", r"\(2, 3\).*\(2, 2\)"),
        (VECTOR, [np.nan, 0], "observation-not-finite", r"nan at \[0\]"),
        (VECTOR, np.array([0, np.inf], np.float32), "observation-not-finite", r"inf at \[1\]"),
        (VECTOR, [0, 1e300], "observation-not-finite", "inf"),
        (VECTOR, np.array([0.5, "x"], object), "observation-dtype", "no numbers"),
        (VECTOR, "a frame", "observation-dtype", "'a frame'"),
        (VECTOR, None, "observation-dtype", "None"),
        (VECTOR, [[1], [2, 3]], "observation-dtype", "not an array"),
        (VECTOR, np.zeros(2, complex), "observation-dtype", "no numbers"),
        (COUNTS, np.array([6, 0], np.int16), "observation-range", r"6 at \[0\].*-2 to 5"),
        (spaces.Discrete(5), 5, "observation-range", "5.*0 to 4"),
        (spaces.Discrete(5), -1, "observation-range", "-1"),
        (spaces.Discrete(5), 1.5, "observation-range", "1.5"),
        (spaces.Discrete(5), np.nan, "observation-range", "nan"),
        (spaces.Discrete(5), [1, 2], "observation-shape", r"\(2,\)"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_value(space, value, kind, said):
    with pytest.raises(BrokenRuleError, match=said) as raised:
        taken(space, value)
    assert raised.value.kind == kind


def test_dicts_name_the_path_and_ignore_what_is_too_much():
    space = spaces.Dict({"arm": spaces.Dict({"angle": VECTOR}), "room": spaces.Discrete(3)})
    observed = Observed(space, 2)
    observed.take(0, {"arm": {"angle": [0, 1], "odd": 1}, "room": 2, "text": "go left"})
    assert observed.values["arm"]["angle"].tolist() == [[0, 1], [0, 0]]
    assert observed.of(0)["room"].tolist() == [2]
    for value, said in [
        ({"room": 1}, "lacks 'arm'"),
        ({"arm": {}, "room": 1}, "lacks 'arm/angle'"),
        ({"arm": 3, "room": 1}, "'arm' = 3 is not a dict"),
        ([1], "is not a dict"),
        ({"arm": {"angle": [0, 1, 2]}, "room": 1}, "'arm/angle' has the shape"),
    ]:
        with pytest.raises(BrokenRuleError, match=said):
            observed.take(0, value)


def test_tuples_are_taken_in_their_order():
    observed = Observed(spaces.Tuple((spaces.Discrete(3), VECTOR)), 2)
    observed.take(1, (2, [0, 1]))
    assert [values[1].tolist() for values in observed.values] == [2, [0, 1]]
    with pytest.raises(BrokenRuleError, match="lacks '1'"):
        observed.take(1, (2,))
