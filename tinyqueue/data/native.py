"""An environment's own values, and how they become those that travel.

What travels counts from 0, and numbers of a bounded Box of actions are in the policy's units, in
which −1 and 1 are the bounds. A spec holds enough to turn them back without the environment.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

Keys = tuple[str | int, ...]
"""Where a leaf is in a nested value: keys of a Dict are texts, those of a Tuple numbers."""

Bounds = tuple[float | None, ...]
"""Of every entry in C order, or one for all of them; None where there is none."""


@dataclass(frozen=True)
class Native:
    """What the values of a leaf are to its environment.

    Attributes:
        keys: Where the leaf is in the environment's value.
        dtype: Its type there, by NumPy name.
        start: The environment's value for 0, of every entry in C order or one for all; empty: 0.
        low, high: Bounds of a Box of actions; empty where its numbers travel as they are.
    """

    keys: Keys
    dtype: str
    start: tuple[int, ...] = ()
    low: Bounds = ()
    high: Bounds = ()

    def to_json(self) -> dict[str, Any]:
        parts = {"start": self.start, "low": self.low, "high": self.high}
        given = {name: list(part) for name, part in parts.items() if part}
        return {"keys": list(self.keys), "dtype": self.dtype, **given}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Native:
        return cls(
            keys=tuple(key if isinstance(key, int) else str(key) for key in value["keys"]),
            dtype=str(value["dtype"]),
            start=tuple(int(start) for start in value.get("start", ())),
            low=_read(value.get("low", ())),
            high=_read(value.get("high", ())),
        )


class Border:
    """Values of one leaf between its environment and the wire.

    Args:
        native: What they are to the environment.
        shape: Of the leaf.
    """

    def __init__(self, native: Native, shape: tuple[int, ...]) -> None:
        self._dtype = np.dtype(native.dtype)
        self._start: int | Array | None = None
        if native.start:
            alone = len(set(native.start)) == 1
            self._start = native.start[0] if alone else np.reshape(native.start, shape)
        self._is_scaled = bool(native.low)
        if self._is_scaled:
            # In float64, so that −1 and 1 are the bounds to their last digit.
            self._low, self._high = (
                np.array([absent if bound is None else bound for bound in bounds]).reshape(
                    shape if len(bounds) > 1 else ()
                )
                for bounds, absent in ((native.low, -np.inf), (native.high, np.inf))
            )
            is_bounded = bool(np.isfinite(self._low).all() and np.isfinite(self._high).all())
            self._centre = self._low / 2 + self._high / 2 if is_bounded else 0.0
            self._half = self._high / 2 - self._low / 2 if is_bounded else 1.0

    def given(self, values: Array) -> Array:
        """``[…, *shape]`` values of the environment → as they travel."""
        if self._is_scaled:
            half = np.where(self._half == 0, 1.0, self._half)
            return np.asarray((values - self._centre) / half)
        return values if self._start is None else values - self._start

    def native(self, array: Array) -> Array:
        """``[…, *shape]`` values as they travel → the environment's own; a copy.

        Numbers of a Box are clipped to its bounds.
        """
        if self._is_scaled:
            values = self._centre + self._half * array.astype(np.float64)
            return np.asarray(np.clip(values, self._low, self._high)).astype(self._dtype)
        values = array.astype(self._dtype)
        return values if self._start is None else np.asarray(values + self._start)


def nested(parts: Iterable[tuple[Keys, Any]]) -> Any:
    """Values by their keys as one, of dictionaries and tuples; a value without keys as it is."""
    result: dict[str | int, Any] = {}
    for keys, value in parts:
        if not keys:
            return value
        inner = result
        for key in keys[:-1]:
            inner = inner.setdefault(key, {})
        inner[keys[-1]] = value
    return _with_tuples(result)


def _with_tuples(value: Any) -> Any:
    """Tables whose keys are numbers as the tuples that they stand for."""
    if not isinstance(value, dict):
        return value
    inner = {key: _with_tuples(part) for key, part in value.items()}
    return tuple(inner.values()) if all(isinstance(key, int) for key in inner) else inner


def _read(bounds: Iterable[Any]) -> Bounds:
    return tuple(None if bound is None else float(bound) for bound in bounds)
