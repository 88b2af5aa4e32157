"""Settings from a program, as plain values: NumPy scalars and arrays, paths and tuples."""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from tinyqueue.errors import ConfigError

Assignment = tuple[tuple[str, ...], Any]
"""The parts of a key, and its plain value."""


def assignments(settings: Mapping[str, Any]) -> Iterator[Assignment]:
    """The assignments in ``{"algorithm.gamma": 0.9}`` or ``{"algorithm": {"gamma": 0.9}}``.

    Raises:
        ConfigError: A value cannot be a setting; the text names its key.
    """
    for key, value in settings.items():
        parts = tuple(part.strip() for part in key.split(".")) if isinstance(key, str) else ()
        if not all(parts) or not parts:
            raise ConfigError(f"{key!r} is not the name of a setting; one is session.slots.")
        yield from _leaves(parts, value)


def whole(name: str, value: Any) -> int | None:
    """An integer, also a NumPy one; None stays None.

    Raises:
        ConfigError: The value is anything else.
    """
    if value is None:
        return None
    try:
        if isinstance(value, (bool, np.bool_)):
            raise TypeError
        return operator.index(value)
    except TypeError:
        raise ConfigError(f"{name} = {value!r} must be a whole number.") from None


def number(name: str, value: Any) -> float | None:
    """A number, also a NumPy one, as a float; None stays None.

    Raises:
        ConfigError: The value is anything else.
    """
    if value is None:
        return None
    found = plain(value, name)
    if isinstance(found, bool) or not isinstance(found, int | float) or math.isnan(found):
        raise ConfigError(f"{name} = {value!r} must be a number.")
    return float(found)


def plain(value: Any, key: str) -> Any:
    """The value as TOML could express it.

    Raises:
        ConfigError: It cannot be a setting; the text names the key.
    """
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist(), key)
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, os.PathLike):
        return os.path.expanduser(os.fspath(value))
    if isinstance(value, list | tuple):
        return [plain(item, f"{key}[{place}]") for place, item in enumerate(value)]
    if isinstance(value, Mapping) and all(isinstance(name, str) for name in value):
        return {str(name): plain(item, f"{key}.{name}") for name, item in value.items()}
    raise ConfigError(
        f"{key} = {value!r} cannot be a setting: a {type(value).__name__} is not a number, string, "
        "path, list or table."
    )


def _leaves(parts: tuple[str, ...], value: Any) -> Iterator[Assignment]:
    """One assignment per leaf, so that a table is merged into what is there, key by key."""
    if isinstance(value, Mapping) and value:
        for name, inner in value.items():
            if not isinstance(name, str):
                raise ConfigError(f"{'.'.join(parts)} has the key {name!r}, which is not a string.")
            yield from _leaves((*parts, name), inner)
    else:
        yield parts, plain(value, ".".join(parts))
