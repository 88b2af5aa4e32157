"""Reading untrusted plain values: each must be present, of its type, and bounded."""

from __future__ import annotations

import math
import re
import reprlib
from collections.abc import Mapping
from typing import Any, TypeGuard

from tinyqueue.errors import MessageError

_MOST = 2**63
"""Integers end up in SQLite columns, which hold 63 bits and a sign."""
_MOST_TEXT = 256
_MOST_SHOWN = 80


class Fields:
    """Typed access to an untrusted mapping.

    Args:
        values: What was received.
        reason: Reason code of the MessageError that every method raises.
    """

    def __init__(self, values: Mapping[str, Any], reason: str = "malformed") -> None:
        self._values = values
        self._reason = reason

    def __contains__(self, name: str) -> bool:
        """Whether an optional value is present."""
        return name in self._values

    def integer(self, name: str) -> int:
        """An integer from 0, below 2⁶³."""
        value = self._values.get(name)
        if not is_count(value):
            raise self._refusal(name, "a whole number from 0")
        return value

    def number(self, name: str) -> float:
        """A finite, non-negative float."""
        value = self._values.get(name)
        if type(value) is not float or not math.isfinite(value) or value < 0:
            raise self._refusal(name, "a finite number, zero or more")
        return value

    def text(
        self, name: str, pattern: re.Pattern[str] | None = None, most: int = _MOST_TEXT
    ) -> str:
        """At most ``most`` printable characters, safe for a log or a terminal."""
        value = self._values.get(name)
        if not is_short_text(value, most) or (pattern is not None and not pattern.fullmatch(value)):
            raise self._refusal(name, pattern.pattern if pattern else "a short printable text")
        return value

    def items(self, name: str) -> list[Any]:
        """A list of anything."""
        value = self._values.get(name)
        if type(value) is not list:
            raise self._refusal(name, "a list")
        return value

    def table(self, name: str) -> Mapping[str, Any]:
        """A map from names to anything."""
        value = self._values.get(name)
        if type(value) is not dict:
            raise self._refusal(name, "a map")
        return value

    def flag(self, name: str) -> bool:
        """True or false."""
        value = self._values.get(name)
        if type(value) is not bool:
            raise self._refusal(name, "true or false")
        return value

    def _refusal(self, name: str, wanted: str) -> MessageError:
        if name not in self._values:
            return MessageError(self._reason, f"{name} is missing")
        found = shown(self._values[name])
        return MessageError(self._reason, f"{name} = {found} is not {wanted}")


def is_count(value: object) -> TypeGuard[int]:
    """Whether it is an int from 0, below 2⁶³."""
    return type(value) is int and 0 <= value < _MOST


def is_short_text(value: object, most: int = _MOST_TEXT) -> TypeGuard[str]:
    """Whether it is a str of at most ``most`` printable characters."""
    return type(value) is str and len(value) <= most and value.isprintable()


def shown(value: object) -> str:
    """An untrusted value for an error, in at most 80 characters.

    Not by ``repr``, which formats all of a value and ends with RecursionError in a deep one.
    """
    return _SHOWN.repr(value)[:_MOST_SHOWN]


class _Shown(reprlib.Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 2
        self.maxstring = self.maxother = _MOST_SHOWN

    def repr_bytes(self, value: bytes, level: int) -> str:
        return repr(value[:_MOST_SHOWN])


_SHOWN = _Shown()


def short_text(text: str, most: int = _MOST_TEXT) -> str:
    """The text cut to ``most`` characters, with a space for each that cannot be printed."""
    return "".join(c if c.isprintable() else " " for c in text[:most])
