"""Values that a person wrote, or that came over the network, reduced to plain data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

_MOST_VALUES, _MOST_DEPTH, _MOST_TEXT = 10_000, 8, 65_536
_MOST_INTEGER = 2**256


def plain_table(value: object) -> dict[str, Any]:
    """A copy of a table of strings, numbers, booleans, lists and tables; tuples become lists.

    Raises:
        ValueError: It holds something else, a number that is NaN or infinite, or too many values.
    """
    if not isinstance(value, Mapping):
        raise ValueError("must be a table")
    copied: dict[str, Any] = _Copy().of(value, 0)
    return copied


class _Copy:
    """Copies values and counts them."""

    def __init__(self) -> None:
        self._left = _MOST_VALUES

    def of(self, value: object, depth: int) -> Any:
        self._left -= 1
        if self._left < 0 or depth > _MOST_DEPTH:
            raise ValueError(f"holds over {_MOST_VALUES} values, or over {_MOST_DEPTH} levels")
        if isinstance(value, Mapping):
            if not all(isinstance(key, str) for key in value):
                raise ValueError("holds a table with a key that is not a string")
            return {self._text(key): self._named(key, inner, depth) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self.of(inner, depth + 1) for inner in value]
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, int | float):
            return _number(value)
        raise ValueError(
            f"holds a {type(value).__name__}, but only strings, numbers, booleans, and lists and "
            "tables of these are allowed"
        )

    def _named(self, key: str, value: object, depth: int) -> Any:
        try:
            return self.of(value, depth + 1)
        except ValueError as error:
            # The outermost key is enough to find the value.
            raise ValueError(f"{key!r} {error}" if depth == 0 else str(error)) from None

    def _text(self, text: str) -> str:
        if len(text) > _MOST_TEXT:
            raise ValueError(f"holds a string of over {_MOST_TEXT} characters")
        return str(text)


def _number(value: float) -> bool | int | float:
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        if not -_MOST_INTEGER <= value < _MOST_INTEGER:
            raise ValueError("holds an integer of over 256 bits")
        return int(value)
    if not math.isfinite(value):
        raise ValueError(f"holds {value}, which is not a finite number")
    return float(value)
