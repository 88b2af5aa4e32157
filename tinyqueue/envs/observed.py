"""Observations of single environments, gathered into arrays for all slots.

What fits the space is cast to its dtype; what does not is refused with its path and value.
Bounds of float spaces are not enforced, as in :mod:`tinyqueue.wire.contract`.
"""

from __future__ import annotations

import numbers
from collections.abc import Iterator, Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from tinyqueue.data.spaces import Array
from tinyqueue.envs.faults import BrokenRuleError, shown

_MOST_FLOAT = float(np.finfo(np.float32).max)
# 64-bit floats travel as 32-bit.


class Observed:
    """One observation per slot, cast to the dtype of its space.

    Args:
        space: The space of one slot: anything with a shape and a dtype, or a Dict or Tuple of
            those, nested as deep as needed.
        slots: B.

    Attributes:
        values: All observations as a vector environment returns them: ``[B, …]``, nested in the
            same dicts and tuples as the space.
    """

    def __init__(self, space: gymnasium.Space[Any], slots: int) -> None:
        self.values, self._leaves = _laid_out(space, (), slots)
        self._plain = self._leaves[0] if isinstance(self.values, np.ndarray) else None
        self._slots = [_of_slot(self.values, slot) for slot in range(slots)]

    def take(self, slot: int, observation: Any) -> None:
        """Stores a slot's observation.

        Raises:
            BrokenRuleError: Its shape differs from the space's, or its values cannot be cast.
        """
        if self._plain is not None:
            self._plain.take(slot, observation)
            return
        for leaf in self._leaves:
            leaf.take(slot, _at(observation, leaf.keys))

    def check(self) -> dict[int, BrokenRuleError]:
        """Slot → what is wrong with the values of its observation; empty if nothing is."""
        wrong: dict[int, BrokenRuleError] = {}
        for leaf in self._leaves:
            if not leaf.is_within():
                wrong = dict(leaf.wrong()) | wrong
        return wrong

    def check_slot(self, slot: int) -> None:
        """Checks one slot's values.

        Raises:
            BrokenRuleError: A value is outside the space.
        """
        for leaf in self._leaves:
            if not leaf.is_within(slot):
                raise dict(leaf.wrong())[slot]

    def repeat(self, slot: int, other: Observed) -> None:
        """Copies a slot's observation from ``other``, of the same space."""
        for mine, others in zip(self._leaves, other._leaves, strict=True):
            mine.array[slot] = others.array[slot]

    def of(self, slot: int) -> Any:
        """A slot's observation as a batch of one, ``[1, …]``."""
        return self._slots[slot]


class _Leaf:
    """One array of the space, for all slots."""

    def __init__(
        self, space: gymnasium.Space[Any], keys: tuple[str | int, ...], slots: int
    ) -> None:
        assert space.dtype is not None
        assert space.shape is not None
        self.keys = keys
        self.dtype, self.shape = np.dtype(space.dtype), tuple(space.shape)
        self.array = np.zeros((slots, *self.shape), self.dtype)
        self._low, self._high = _bounds(space, self.dtype)
        self._is_checked, self._is_uniform = self._low is not None, np.ndim(self._low) == 0
        self._is_count = self.shape == () and self.dtype.kind in "iu" and self._is_checked
        self._name = f"the observation {_path(keys)!r}" if keys else "the observation"

    def take(self, slot: int, value: Any) -> None:
        is_array = type(value) is np.ndarray
        if is_array and value.dtype == self.dtype and value.shape == self.shape:
            self.array[slot] = value
            return
        self.array[slot] = value if self._counts(value) else self._cast(value)

    def is_within(self, slot: int | None = None) -> bool:
        """Whether every value, of one slot or all, is within the space; NaN is not."""
        if not self._is_checked:
            return True
        array = self.array if slot is None else self.array[slot]
        if self._is_uniform:
            return bool(array.min() >= self._low and array.max() <= self._high)
        return bool(((array >= self._low) & (array <= self._high)).all())

    def wrong(self) -> Iterator[tuple[int, BrokenRuleError]]:
        for slot, values in enumerate(self.array):
            outside = ~((values >= self._low) & (values <= self._high))
            if outside.any():
                first = np.argwhere(np.atleast_1d(outside))[0].tolist()
                value = np.atleast_1d(values)[tuple(first)]
                yield slot, self._outside(value, first if self.shape else [])

    def _counts(self, value: Any) -> bool:
        """Whether it is an integer within an integer space: the most frequent case after arrays."""
        is_whole = self._is_count and (type(value) is int or isinstance(value, np.integer))
        return is_whole and bool(self._low <= value <= self._high)

    def _cast(self, value: Any) -> Array:
        try:
            array = np.asarray(value)
        except Exception as error:
            raise self._refused(value, f"is not an array ({error})") from error
        if array.dtype.kind == "O":
            array = _of_numbers(array)
        if array.dtype.kind not in "biuf":
            raise self._refused(value, "holds no numbers")
        if array.shape != self.shape:
            if not (self.shape in ((), (1,)) and array.size == 1):
                raise BrokenRuleError(
                    "observation-shape",
                    f"{self._name} has the shape {array.shape}, but its space has {self.shape}",
                )
            array = array.reshape(self.shape)
        if self.dtype.kind == "f":
            with np.errstate(over="ignore"):
                return array.astype(self.dtype)
        with np.errstate(invalid="ignore"):
            cast = array.astype(self.dtype)
        if not np.array_equal(cast, array):
            first = np.argwhere(np.atleast_1d(cast != array))[0].tolist()
            found = np.atleast_1d(array)[tuple(first)]
            raise self._outside(found, first if self.shape else [])
        return cast

    def _refused(self, value: Any, why: str) -> BrokenRuleError:
        return BrokenRuleError(
            "observation-dtype",
            f"{self._name} = {shown(value)} {why}; its space has {self.dtype} of shape "
            f"{self.shape}",
        )

    def _outside(self, value: Any, index: list[int]) -> BrokenRuleError:
        what = f"{self._name} is {value}{f' at {index}' if index else ''}"
        if self.dtype.kind == "f":
            return BrokenRuleError(
                "observation-not-finite", f"{what}, which is not a finite 32-bit number"
            )
        low, high = self._low, self._high
        if low is None:
            least = np.zeros((), self.dtype) if self.dtype == bool else np.iinfo(self.dtype).min
            low, high = int(least), 1 if self.dtype == bool else np.iinfo(self.dtype).max
        elif not self._is_uniform:
            low, high = low[tuple(index)], high[tuple(index)]
        kind = "observation-dtype" if self._low is None else "observation-range"
        return BrokenRuleError(kind, f"{what}; its space has whole numbers from {low} to {high}")


def _laid_out(
    space: gymnasium.Space[Any], keys: tuple[str | int, ...], slots: int
) -> tuple[Any, list[_Leaf]]:
    """Arrays for all slots, nested as in the space, and their leaves as a flat list."""
    if not isinstance(space, spaces.Dict | spaces.Tuple):
        leaf = _Leaf(space, keys, slots)
        return leaf.array, [leaf]
    parts = space.spaces.items() if isinstance(space, spaces.Dict) else enumerate(space.spaces)
    laid_out = {key: _laid_out(inner, (*keys, key), slots) for key, inner in parts}
    values = {key: part for key, (part, _) in laid_out.items()}
    leaves = [leaf for _, found in laid_out.values() for leaf in found]
    return values if isinstance(space, spaces.Dict) else tuple(values.values()), leaves


def _of_slot(values: Any, slot: int) -> Any:
    if isinstance(values, dict):
        return {key: _of_slot(inner, slot) for key, inner in values.items()}
    if isinstance(values, tuple):
        return tuple(_of_slot(inner, slot) for inner in values)
    return values[slot : slot + 1]


def _at(observation: Any, keys: tuple[Any, ...]) -> Any:
    for depth, key in enumerate(keys):
        wanted = Mapping if isinstance(key, str) else tuple | list
        if not isinstance(observation, wanted):
            at = f" {_path(keys[:depth])!r}" if depth else ""
            raise BrokenRuleError(
                "observation-dtype",
                f"the observation{at} = {shown(observation)} is not a "
                f"{'dict' if wanted is Mapping else 'tuple'}, but its space is one",
            )
        try:
            observation = observation[key]
        except (KeyError, IndexError):
            raise BrokenRuleError(
                "observation-missing", f"the observation lacks {_path(keys[: depth + 1])!r}"
            ) from None
    return observation


def _path(keys: tuple[str | int, ...]) -> str:
    return "/".join(map(str, keys))


def _bounds(space: gymnasium.Space[Any], dtype: np.dtype[Any]) -> tuple[Any, Any]:
    """The least and the largest value allowed; None if the dtype itself guarantees them."""
    if isinstance(space, spaces.Discrete):
        return int(space.start), int(space.start + space.n - 1)
    if isinstance(space, spaces.MultiBinary):
        return 0, 1
    if isinstance(space, spaces.MultiDiscrete):
        return space.start, space.start + space.nvec - 1
    if dtype.kind == "f":
        return -_MOST_FLOAT, _MOST_FLOAT
    if not isinstance(space, spaces.Box) or dtype.kind not in "iu" or not space.low.size:
        return None, None
    low, high, whole = space.low, space.high, np.iinfo(dtype)
    if (low == whole.min).all() and (high == whole.max).all():
        return None, None
    if (low == low.flat[0]).all() and (high == high.flat[0]).all():
        return int(low.flat[0]), int(high.flat[0])
    return low, high


def _of_numbers(objects: Array) -> Array:
    """An array of objects as an array of numbers, if all of them are numbers."""
    if not all(isinstance(one, numbers.Real) for one in objects.flat):
        return objects
    return np.array(objects.tolist())
