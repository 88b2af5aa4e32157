"""Gymnasium spaces as flat arrays, and the conversion of batched values.

Discrete values travel as ``0 … n−1`` in the smallest integer dtype, whatever the space's
``start``, and 64-bit floats as 32-bit. Actions of a bounded Box travel in the policy's units,
where −1 and 1 are the bounds. Batched means ``[B, …]``, as vector environments use it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from tinyqueue.data.native import Border, Bounds, Keys, Native, nested
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


_PARTS = "Box (up to 64-bit floats and integers, not empty), Discrete, MultiDiscrete, MultiBinary"
_ACTION_PARTS = "Box (up to 64-bit floats, not empty), Discrete, MultiDiscrete, MultiBinary"

_NO_BOUND = float(np.finfo(np.float32).max)
"""Some environments, such as CartPole, use the largest float32 to mean no bound."""


@dataclass(frozen=True)
class _Field:
    """One leaf, and how its values are converted."""

    leaf: Leaf
    native: Native

    @cached_property
    def border(self) -> Border:
        return Border(self.native, self.leaf.shape)


class Layout:
    """How values of one Gymnasium space are laid out in flat arrays.

    Args:
        space: Box, Discrete, MultiDiscrete, MultiBinary, or a Dict or Tuple of those, nested as
            deep as needed. The parts of a Tuple have the paths ``"0"``, ``"1"``, ….
        of: What has this space, for errors: ``"the observations of CartPole-v1"``.
        acts: Whether it is an action space: each entry of a MultiDiscrete then has its own number
            of values, and bounded numbers are rescaled.

    Raises:
        ConfigError: It is, or contains, another kind of space; or it holds nothing.
    """

    def __init__(self, space: gymnasium.Space[Any], of: str, *, acts: bool = False) -> None:
        field = _action_field if acts else _field
        self._fields = {path_of(keys): field(keys, leaf, of) for keys, leaf in leaves(space, of)}
        if not self._fields:
            raise ConfigError(
                f"{of} are {space}, which is empty. Wrap the environment so that there is "
                f"something to {'do' if acts else 'observe'}."
            )
        self._plain = self._fields.get("")

    @property
    def space(self) -> Space:
        """Path → leaf, in the order in which the Gymnasium space lists them."""
        return {
            path: replace(field.leaf, native=field.native) for path, field in self._fields.items()
        }

    def write(self, values: Any, rows: Arrays) -> None:
        """Copies batched values into ``rows``, path → ``[B, …]`` in the wire's dtypes."""
        plain = self._plain
        if plain is not None:
            rows[""][...] = plain.border.given(values)
            return
        for path, field in self._fields.items():
            inner = values
            for key in field.native.keys:
                inner = inner[key]
            rows[path][...] = field.border.given(inner)

    def flatten(self, values: Any) -> Arrays:
        """Batched values of the environment as path → ``[B, …]``, not yet in the wire's dtypes.

        Raises:
            KeyError, IndexError, TypeError, ValueError: They are not nested as the space is, or no
                arrays.
        """
        found: Arrays = {}
        for path, field in self._fields.items():
            inner = values
            for key in field.native.keys:
                inner = inner[key]
            found[path] = np.asarray(field.border.given(np.asarray(inner)))
        return found

    def unflatten(self, arrays: Arrays) -> Any:
        """Batched values for the environment, from path → ``[B, …]``."""
        plain = self._plain
        if plain is not None:
            return plain.border.native(arrays[""])
        return nested(
            (field.native.keys, field.border.native(arrays[path]))
            for path, field in self._fields.items()
        )


def action_layout(space: gymnasium.Space[Any], environment_id: str) -> Layout:
    """The layout of an environment's actions.

    A Box of floats with all bounds finite travels in the policy's units, −1 … 1, and is rescaled
    for the environment; any other travels as it is. Both are clipped to the bounds that exist:
    what the policy drew travels, and what is executed is derived from it.

    Raises:
        ConfigError: It is, or contains, another kind of space; or it holds nothing.
    """
    return Layout(space, f"the actions of {environment_id}", acts=True)


def empty(space: Space, *lead: int) -> Arrays:
    """Zeros of a space with the given leading axes, path → ``[*lead, …]``."""
    return {path: np.zeros((*lead, *leaf.shape), leaf.dtype) for path, leaf in space.items()}


def are_equal(here: Space, wanted: Space) -> bool:
    """Whether a policy of the one space can be used with the other."""
    is_same = list(here) == list(wanted) and here == wanted
    return is_same and not any(_disagree(leaf, wanted[path]) for path, leaf in here.items())


def require_equal(of: str, here: Space, wanted: Space) -> None:
    """Refuses an environment whose spaces differ from those a policy is or was trained with.

    Args:
        of: What has these spaces, for the error: ``"the actions of ALE/Pong-v5"``.
        here: The space of the environment on this machine.
        wanted: The space in the spec, which a checkpoint keeps.

    Raises:
        EnvironmentMismatchError: They differ; both are printed.
    """
    if are_equal(here, wanted):
        return
    raise EnvironmentMismatchError(
        f"{of} are {space_to_json(here)} here, but {space_to_json(wanted)} in the experiment's "
        "spec. Install the same versions of the environment's packages on players and learner."
    )


def _disagree(leaf: Leaf, other: Leaf) -> bool:
    """Whether two equal leaves mean other values of their environment, such as other bounds."""
    told = (leaf.native, other.native)
    return None not in told and told[0] != told[1]


def leaves(
    space: gymnasium.Space[Any], of: str, keys: Keys = ()
) -> Iterator[tuple[Keys, gymnasium.Space[Any]]]:
    """Every leaf of a space and its keys, in the order in which the space lists them.

    Raises:
        ConfigError: A key of a Dict makes paths ambiguous.
    """
    if isinstance(space, spaces.Tuple):
        for index, inner in enumerate(space.spaces):
            yield from leaves(inner, of, (*keys, index))
    elif isinstance(space, spaces.Dict):
        for key, inner in space.spaces.items():
            if not isinstance(key, str) or not key or "/" in key:
                raise ConfigError(
                    f"{of} have the key {key!r}; paths are made of keys, so a key must be a "
                    "non-empty string without '/'. Wrap the environment to rename it."
                )
            yield from leaves(inner, of, (*keys, key))
    else:
        yield keys, space


def path_of(keys: Keys) -> str:
    """``"arm/angle"``; ``""`` for a space that is a leaf itself."""
    return "/".join(map(str, keys))


def is_supported(leaf: gymnasium.Space[Any]) -> bool:
    """Whether values of this leaf can be laid out in an array."""
    if isinstance(leaf, spaces.Box):
        return leaf.dtype.name in _BOX_DTYPES and 0 not in leaf.shape
    if isinstance(leaf, spaces.MultiDiscrete | spaces.MultiBinary):
        return 0 not in leaf.shape
    return isinstance(leaf, spaces.Discrete)


def _field(keys: Keys, space: gymnasium.Space[Any], of: str) -> _Field:
    if not is_supported(space):
        raise _unsupported(keys, space, of, _PARTS)
    native = Native(keys, np.dtype(space.dtype).name)
    if isinstance(space, spaces.MultiDiscrete):
        # One range for all entries, so that the leaf has a single n.
        start = int(space.start.min())
        count = int((space.start + space.nvec).max()) - start
        return _Field(_discrete(count, space.shape), replace(native, start=_start(start)))
    if isinstance(space, spaces.Discrete):
        return _Field(_discrete(int(space.n), ()), replace(native, start=_start(space.start)))
    if isinstance(space, spaces.MultiBinary):
        return _Field(_discrete(2, space.shape), native)
    assert isinstance(space, spaces.Box)
    low, high = _shared(space.low), _shared(space.high)
    leaf = Leaf(_BOX_DTYPES[space.dtype.name], tuple(space.shape), low=low, high=high)
    return _Field(leaf, native)


def _action_field(keys: Keys, space: gymnasium.Space[Any], of: str) -> _Field:
    is_integer_box = isinstance(space, spaces.Box) and space.dtype.kind != "f"
    if is_integer_box or not is_supported(space):
        raise _unsupported(keys, space, of, _ACTION_PARTS)
    if isinstance(space, spaces.MultiDiscrete):
        nvec = tuple(int(count) for count in space.nvec.flat)
        leaf = replace(_discrete(max(nvec), space.shape), nvec=nvec)
        return _Field(leaf, Native(keys, space.dtype.name, start=_start(space.start)))
    if not isinstance(space, spaces.Box):
        return _field(keys, space, of)
    low, high = _bounds(space.low), _bounds(space.high)
    leaf, native = Leaf("float32", tuple(space.shape)), Native(keys, space.dtype.name)
    finite = np.isfinite([low, high])
    if finite.all():
        leaf = replace(leaf, low=-1.0, high=1.0)
    if finite.any():
        native = replace(native, low=_told(low), high=_told(high))
    return _Field(leaf, native)


def _bounds(bounds: Array) -> Array:
    """``[*shape]`` float64, infinite where there is no bound."""
    wide = bounds.astype(np.float64)
    return np.where(np.abs(wide) >= _NO_BOUND, np.copysign(np.inf, wide), wide)


def _told(bounds: Array) -> Bounds:
    """Those of every entry, or one where all are the same."""
    told = tuple(float(bound) if np.isfinite(bound) else None for bound in bounds.flat)
    return told[:1] if len(set(told)) == 1 else told


def _start(starts: Any) -> tuple[int, ...]:
    told = tuple(int(start) for start in np.ravel(starts))
    return told if any(told) else ()


def _unsupported(keys: Keys, space: object, of: str, parts: str) -> ConfigError:
    at = f" at {path_of(keys)!r}" if keys else ""
    if not isinstance(space, gymnasium.Space):
        kind = "a function" if callable(space) else f"of type {type(space).__name__}"
        several = "; is it an environment of several agents, as in PettingZoo?"
        return ConfigError(
            f"the space of {of}{at} is {kind}, not one of gymnasium.spaces"
            f"{several if callable(space) else ''}. Wrap the environment so that it is."
        )
    return ConfigError(
        f"{of} contain the space {space}{at}, which is not supported. Supported are {parts}, and "
        "Dict and Tuple of these: wrap the environment so that it has one of them."
    )


def _discrete(count: int, shape: tuple[int, ...]) -> Leaf:
    return Leaf(smallest_integer_dtype(count), tuple(shape), n=count)


def _shared(bounds: Array) -> float | None:
    first = float(bounds.flat[0])
    return first if math.isfinite(first) and bool(np.all(bounds == bounds.flat[0])) else None
