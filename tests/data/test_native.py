"""Values of an environment, those that travel, and back."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tinyqueue.data.native import Border, Native, nested

BOX = Native(("arm", 1), "float64", low=(-1.0, 10.0), high=(3.0, 12.0))


@pytest.mark.parametrize(
    "native",
    [
        BOX,
        Native((), "int64", start=(5, -2)),
        Native(("hand",), "float32", low=(None,), high=(1.0,)),
        Native((), "int8"),
    ],
)
def test_it_is_the_same_after_a_way_through_json(native: Native) -> None:
    assert Native.from_json(json.loads(json.dumps(native.to_json(), allow_nan=False))) == native


def test_numbers_of_a_bounded_box_are_between_its_bounds_and_clipped_to_them() -> None:
    border = Border(BOX, (2,))
    drawn = np.array([[-1, -1], [0, 0.5], [1, 7]], np.float32)

    values = border.native(drawn)

    assert values.dtype == np.float64
    assert values.tolist() == [[-1, 10], [1, 11.5], [3, 12]]
    expected = np.array([[-1, -1], [0, 0.5], [1, 1]])
    np.testing.assert_allclose(np.asarray(border.given(values)), expected)


def test_a_number_with_one_bound_is_counted_from_there_and_clipped() -> None:
    below = Border(Native((), "float32", low=(None,), high=(10.0,)), (1,))
    assert below.native(np.array([[-50], [0], [2]], np.float32)).tolist() == [[-40], [10], [10]]
    each = Border(Native((), "float32", low=(10.0, None, 0.0), high=(None, None, 4.0)), (3,))
    drawn = np.array([[-1, -1, -1], [5, 5, 0.5]], np.float32)
    assert each.native(drawn).tolist() == [[10, -1, 0], [15, 5, 3]]


@pytest.mark.parametrize(("start", "values"), [((5, -2), [6, 0]), ((3,), [4, 5]), ((), [1, 2])])
def test_whole_numbers_begin_at_their_start(start: tuple[int, ...], values: list[int]) -> None:
    border = Border(Native((), "int64", start), (2,))
    native = border.native(np.array([1, 2], np.uint8))
    assert (native.dtype, native.tolist()) == (np.int64, values)
    assert border.given(native).tolist() == [1, 2]


def test_parts_are_nested_by_their_keys() -> None:
    parts = [(("go",), 1), (("arm", 0), 2), (("arm", 1, "0"), 3)]
    assert nested(parts) == {"go": 1, "arm": (2, {"0": 3})}
    assert nested([((), 4)]) == 4
