"""Gymnasium's spaces as flat arrays, and batched values across that border.

Discrete values travel as ``0 … n−1`` in the smallest integer type whatever the space's
``start``, and 64-bit floats as 32-bit. Batched means ``[B, …]``, as vector environments
give and take.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from tinyqueue.data.spaces import (
    Array,
    Arrays,
    Leaf,
    Space,
    smallest_integer_dtype,
    space_to_json,
)
from tinyqueue.errors import ConfigError, EnvironmentMismatchError

_BOX_DTYPES = {
    name: name for name in ("bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64")
} | {"float16": "float32", "float32": "float32", "float64": "float32"}


@dataclass(frozen=True)
class _Field:
    """One leaf: where it is in the nested value, and what the environment calls it."""

    keys: tuple[str, ...]
    leaf: Leaf
    dtype: np.dtype[Any]
    start: int


class Layout:
    """How values of one Gymnasium space lie in flat arrays.

    Args:
        space: Box, Discrete, MultiBinary, or a Dict of those, nested as deep as needed.
        of: What has this space, for errors: ``"the observations of CartPole-v1"``.

    Raises:
        ConfigError: It is, or contains, another kind of space.
    """

    def __init__(self, space: gymnasium.Space[Any], of: str) -> None:
        self._fields = {"/".join(field.keys): field for field in _fields(space, (), of)}
        self._plain = self._fields.get("")

    @property
    def space(self) -> Space:
        """Path → leaf, in the order in which the Gymnasium space lists them."""
        return {path: field.leaf for path, field in self._fields.items()}

    def write(self, values: Any, rows: Arrays) -> None:
        """Copies batched values into ``rows``, path → ``[B, …]`` in the wire's types."""
        plain = self._plain
        if plain is not None:
            rows[""][...] = values - plain.start if plain.start else values
            return
        for path, field in self._fields.items():
            inner = values
            for key in field.keys:
                inner = inner[key]
            rows[path][...] = inner - field.start if field.start else inner

    def unflatten(self, arrays: Arrays) -> Any:
        """Batched values as the environment wants them, from path → ``[B, …]``."""
        plain = self._plain
        if plain is not None:
            return _native(arrays[""], plain)
        result: dict[str, Any] = {}
        for path, field in self._fields.items():
            inner = result
            for key in field.keys[:-1]:
                inner = inner.setdefault(key, {})
            inner[field.keys[-1]] = _native(arrays[path], field)
        return result


def empty(space: Space, *lead: int) -> Arrays:
    """Zeros of a space with the given leading axes, path → ``[*lead, …]``."""
    return {path: np.zeros((*lead, *leaf.shape), leaf.dtype) for path, leaf in space.items()}


def require_equal(of: str, here: Space, wanted: Space) -> None:
    """Refuses an environment that is not the one a policy is, or was, trained with.

    Args:
        of: What has these spaces, for the error: ``"the actions of ALE/Pong-v5"``.
        here: Of the environment at hand.
        wanted: Of the spec, which a checkpoint keeps.

    Raises:
        EnvironmentMismatchError: They differ; both are printed.
    """
    if list(here) == list(wanted) and here == wanted:
        return
    raise EnvironmentMismatchError(
        f"{of} are {space_to_json(here)} here, and {space_to_json(wanted)} in the experiment's "
        "spec. Install the same versions of the environment's packages on players and learner."
    )


def _native(array: Array, field: _Field) -> Array:
    values = array.astype(field.dtype)
    return values + field.start if field.start else values


def _fields(space: gymnasium.Space[Any], keys: tuple[str, ...], of: str) -> Iterator[_Field]:
    if isinstance(space, spaces.Dict):
        for key, inner in space.spaces.items():
            if not isinstance(key, str) or not key or "/" in key:
                raise ConfigError(
                    f"{of} have the key {key!r}; paths are made of keys, so a key must be a text "
                    "that is not empty and has no '/'. Wrap the environment to rename it."
                )
            yield from _fields(inner, (*keys, key), of)
        return
    yield _Field(keys, _leaf(space, of), np.dtype(space.dtype), int(getattr(space, "start", 0)))


def _leaf(space: gymnasium.Space[Any], of: str) -> Leaf:
    if isinstance(space, spaces.Discrete):
        count = int(space.n)
        return Leaf(smallest_integer_dtype(count), (), n=count)
    if isinstance(space, spaces.MultiBinary):
        return Leaf(smallest_integer_dtype(2), tuple(space.shape), n=2)
    if isinstance(space, spaces.Box) and space.dtype.name in _BOX_DTYPES and 0 not in space.shape:
        low, high = _shared(space.low), _shared(space.high)
        return Leaf(_BOX_DTYPES[space.dtype.name], tuple(space.shape), low=low, high=high)
    raise ConfigError(
        f"{of} contain the space {space}, which is not supported. Box (up to 64-bit floats and "
        "integers, not empty), Discrete, MultiBinary and Dict of these are: wrap the environment "
        "so that it has one of them."
    )


def _shared(bounds: Array) -> float | None:
    first = float(bounds.flat[0])
    return first if math.isfinite(first) and bool(np.all(bounds == bounds.flat[0])) else None
