"""An environment's own values, and their conversion to those that travel.

Values that travel count from 0, and actions of a bounded Box are in the policy's units, where −1
and 1 are the bounds. A spec holds enough to convert them back without the environment.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

Keys = tuple[str | int, ...]
"""Where a leaf is in a nested value: the keys of a Dict are strings, those of a Tuple integers."""

Bounds = tuple[float | None, ...]
"""One bound per entry in C order, or one for all; None where there is no bound."""


@dataclass(frozen=True)
class Native:
    """How an environment represents the values of a leaf.

    Attributes:
        keys: Where the leaf is in the environment's value.
        dtype: Its dtype there, by NumPy name.
        start: The environment's value for 0, per entry in C order or one for all; empty: 0.
        low, high: Bounds of a Box of actions; empty if its numbers travel unchanged.
    """

    keys: Keys
    dtype: str
    start: tuple[int, ...] = ()
    low: Bounds = ()
    high: Bounds = ()

    def to_json(self) -> dict[str, Any]:
        """A JSON object, without parts that are empty."""
        parts = {"start": self.start, "low": self.low, "high": self.high}
        given = {name: list(part) for name, part in parts.items() if part}
        return {"keys": list(self.keys), "dtype": self.dtype, **given}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Native:
        """What :meth:`to_json` wrote.

        Raises:
            KeyError, TypeError, ValueError: It is something else.
        """
        return cls(
            keys=tuple(key if isinstance(key, int) else str(key) for key in value["keys"]),
            dtype=str(value["dtype"]),
            start=tuple(int(start) for start in value.get("start", ())),
            low=_read(value.get("low", ())),
            high=_read(value.get("high", ())),
        )


class Border:
    """Converts the values of one leaf between its environment and the wire.

    Args:
        native: How the environment represents them.
        shape: Shape of the leaf.
    """

    def __init__(self, native: Native, shape: tuple[int, ...]) -> None:
        self._dtype = np.dtype(native.dtype)
        self._start: int | Array | None = None
        if native.start:
            alone = len(set(native.start)) == 1
            self._start = native.start[0] if alone else np.reshape(native.start, shape)
        self._is_scaled = bool(native.low)
        if self._is_scaled:
            # In float64, so that −1 and 1 are exactly the bounds.
            self._low, self._high = (
                np.array([absent if bound is None else bound for bound in bounds]).reshape(
                    shape if len(bounds) > 1 else ()
                )
                for bounds, absent in ((native.low, -np.inf), (native.high, np.inf))
            )
            # An entry with one bound counts from there: a policy starts near 0, wherever that is.
            has_low, has_high = np.isfinite(self._low), np.isfinite(self._high)
            low, high = np.where(has_low, self._low, 0.0), np.where(has_high, self._high, 0.0)
            is_bounded = has_low & has_high
            self._centre = np.where(is_bounded, low / 2 + high / 2, low + high)
            self._half = np.where(is_bounded, high / 2 - low / 2, 1.0)

    def given(self, values: Array) -> Array:
        """From the environment's ``[…, *shape]`` values to those that travel."""
        if self._is_scaled:
            half = np.where(self._half == 0, 1.0, self._half)
            return np.asarray((values - self._centre) / half)
        return values if self._start is None else values - self._start

    def native(self, array: Array) -> Array:
        """From ``[…, *shape]`` values that travel to the environment's own; a copy.

        Numbers of a Box are clipped to its bounds.
        """
        if self._is_scaled:
            values = self._centre + self._half * array.astype(np.float64)
            return np.asarray(np.clip(values, self._low, self._high)).astype(self._dtype)
        values = array.astype(self._dtype)
        return values if self._start is None else np.asarray(values + self._start)


def nested(parts: Iterable[tuple[Keys, Any]]) -> Any:
    """Nests values by their keys in dicts and tuples; a value without keys is returned as it is."""
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
    """Turns dicts whose keys are integers back into tuples."""
    if not isinstance(value, dict):
        return value
    inner = {key: _with_tuples(part) for key, part in value.items()}
    return tuple(inner.values()) if all(isinstance(key, int) for key in inner) else inner


def _read(bounds: Iterable[Any]) -> Bounds:
    return tuple(None if bound is None else float(bound) for bound in bounds)
