"""Numbers read out of infos, which may hold anything."""

from __future__ import annotations

import math
from collections import UserDict
from typing import Any

import numpy as np
import pytest

from tinyqueue.envs.info_numbers import MOST_NOTED, note_largest, read_info, read_infos


def read(info: Any, *keys: str) -> list[float]:
    row = np.zeros(len(keys))
    read_info(info, keys, row)
    return row.tolist()


def read_all(infos: Any, key: str, slots: int = 3) -> list[float | None]:
    rows = np.zeros((slots, 1))
    read_infos(infos, [key], rows)
    return [None if math.isnan(value) else value for value in rows[:, 0].tolist()]


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (3, 3.0),
        (-2.5, -2.5),
        (True, 1.0),
        (np.float32(0.5), 0.5),
        (np.array([7], np.int8), 7.0),
        (np.array(4), 4.0),
        ([9], 9.0),
    ],
)
def test_one_number_of_any_numeric_type_is_read(value: Any, number: float) -> None:
    assert read({"x": value}, "x") == [number]


class Hostile:
    """Raises whatever it is asked for."""

    def __getattr__(self, name: str) -> Any:
        raise SystemError(name)

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise MemoryError


class Angry(UserDict[str, Any]):
    def get(self, key: Any, default: Any = None) -> Any:
        raise OSError("the simulator is gone")


@pytest.mark.parametrize(
    "info",
    [
        {},
        None,
        "x",
        {"x": None},
        {"x": "3"},
        {"x": [1, 2]},
        {"x": []},
        {"x": math.nan},
        {"x": math.inf},
        {"x": 1e31},
        {"x": 10**400},
        {"x": 1j},
        {"x": {"y": 1}},
        {"x": Hostile()},
        Angry({"x": 1}),
    ],
)
def test_what_is_not_one_finite_number_is_none_and_never_raises(info: Any) -> None:
    assert math.isnan(read(info, "x")[0])


def test_a_path_leads_into_tables_and_a_key_with_a_slash_comes_first() -> None:
    info = {"agent": {"pose": {"x": 2.0}, "y": 3}, "a/b": 4, "a": {"b": 5}}

    assert read(info, "agent/pose/x", "agent/y", "a/b") == [2.0, 3.0, 4.0]
    assert math.isnan(read(info, "agent/z/x")[0])
    assert math.isnan(read(info, "agent/y/x")[0])


def test_infos_of_a_vectorised_environment_are_read_with_their_masks() -> None:
    values = np.array([1.0, 2.0, 3.0])

    assert read_all({"x": values}, "x") == [1.0, 2.0, 3.0]
    assert read_all({"x": values, "_x": np.array([True, False, True])}, "x") == [1.0, None, 3.0]
    assert read_all({"a": {"x": values, "_x": np.array([False, True, True])}}, "a/x") == [
        None,
        2.0,
        3.0,
    ]


@pytest.mark.parametrize(
    "infos",
    [
        {},
        None,
        {"x": np.array([1.0, 2.0])},
        {"x": np.array(["1", "2", "3"])},
        {"x": np.array([None] * 3)},
        {"x": np.ones((3, 2))},
        {"x": np.ones(3), "_x": "yes"},
    ],
)
def test_what_has_not_one_number_per_slot_is_none(infos: Any) -> None:
    assert read_all(infos, "x") == [None] * 3


def test_infinite_numbers_of_single_slots_are_none() -> None:
    assert read_all({"x": np.array([1.0, math.inf, math.nan])}, "x") == [1.0, None, None]


def noted(infos: list[Any], slots: int = 1) -> dict[str, float]:
    largest: dict[str, float] = {}
    note_largest(infos, slots, largest)
    return largest


def test_the_largest_magnitude_of_every_number_is_noted() -> None:
    told = [{"x": -3, "agent": {"y": 2.5}, "name": "a", "all": [1, 2]}, {"x": 1, "z": True}]

    assert noted(told, slots=2) == {"x": 3.0, "agent/y": 2.5, "z": 1.0}


def test_numbers_of_a_vector_are_noted_too() -> None:
    assert noted([{"x": np.array([1.0, -9.0]), "one": 5}], slots=2) == {"x": 9.0}


def test_what_is_no_finite_number_is_not_noted() -> None:
    assert noted([{"x": math.inf, "y": math.nan, "z": 1e300, "w": None}, None, "text"], 3) == {}


def test_the_number_of_keys_that_are_noted_is_bounded() -> None:
    largest: dict[str, float] = {}
    for step in range(3 * MOST_NOTED):
        note_largest([{f"step-{step}": 1.0, "x": step}], 1, largest)

    assert len(largest) == MOST_NOTED
    assert largest["x"] == 3 * MOST_NOTED - 1
