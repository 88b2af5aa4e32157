"""Spaces as data: a flat mapping from a path to the shape, type and range of one array.

A plain space has the single path ``""``; a Dict space has one path per leaf
(``"camera"``, ``"arm/angle"``). A space can be written as JSON, compared, and checked
against arrays without Gymnasium installed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tinyqueue.data.native import Native

Array = npt.NDArray[Any]
Arrays = dict[str, Array]
"""A flat mapping from a path to an array."""


@dataclass(frozen=True)
class Leaf:
    """One array of a space.

    Attributes:
        dtype: Wire dtype by NumPy name (``"float32"``). 64-bit floats travel as 32-bit.
        shape: Shape of one element, without time or slot axes.
        n: Number of values of a discrete leaf, which are ``0 … n−1``; 0 for a continuous leaf.
        low: Lower bound of a continuous leaf when all its elements share one, else None.
        high: Upper bound likewise.
        stack: Frames that a network sees at once, oldest first; above 1 they are the first axis
            of ``shape``. It is 1 for what environments give and what travels.
        nvec: Number of values of each entry where entries differ, flattened in C order, as in a
            MultiDiscrete action space; ``n`` is then the largest. Empty otherwise.
        native: What its values mean to the environment, where that is more than their type. Leaves
            are compared without it. None also in specs from before it was written down.
    """

    dtype: str
    shape: tuple[int, ...]
    n: int = 0
    low: float | None = None
    high: float | None = None
    stack: int = 1
    nvec: tuple[int, ...] = ()
    native: Native | None = field(default=None, compare=False)

    @property
    def is_discrete(self) -> bool:
        """Whether elements are indices ``0 … n−1`` rather than numbers."""
        return self.n > 0

    @property
    def size(self) -> int:
        """Number of entries: the product of ``shape``."""
        return math.prod(self.shape)

    @property
    def counts(self) -> tuple[int, ...]:
        """Number of values of each entry of a discrete leaf, flattened in C order."""
        return self.nvec or (self.n,) * self.size

    @property
    def frame(self) -> Leaf:
        """One frame of the stack."""
        return self if self.stack == 1 else replace(self, shape=self.shape[1:], stack=1)

    def to_json(self) -> dict[str, Any]:
        """A JSON object; ``stack`` and ``nvec`` are left out where they are the default."""
        return {
            "dtype": self.dtype,
            "shape": list(self.shape),
            "n": self.n,
            "low": self.low,
            "high": self.high,
            **({"stack": self.stack} if self.stack > 1 else {}),
            **({"nvec": list(self.nvec)} if self.nvec else {}),
            **({"native": self.native.to_json()} if self.native else {}),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Leaf:
        """The leaf that :meth:`to_json` wrote. Bounds that are not finite become None.

        Raises:
            KeyError: A required key is missing.
            TypeError: A value is of the wrong type.
            ValueError: A value cannot be converted.
        """
        return cls(
            dtype=str(value["dtype"]),
            shape=tuple(int(size) for size in value["shape"]),
            n=int(value["n"]),
            low=_bound(value["low"]),
            high=_bound(value["high"]),
            stack=int(value.get("stack", 1)),
            nvec=tuple(int(count) for count in value.get("nvec", ())),
            native=Native.from_json(value["native"]) if value.get("native") else None,
        )


Space = dict[str, Leaf]
"""A space: path → leaf, in the order in which a model concatenates leaves."""


def space_to_json(space: Space) -> dict[str, Any]:
    """A JSON object that :func:`space_from_json` turns back into an equal space."""
    return {path: leaf.to_json() for path, leaf in space.items()}


def space_from_json(value: Mapping[str, Any]) -> Space:
    """The space that :func:`space_to_json` wrote. Raises as :meth:`Leaf.from_json`."""
    return {path: Leaf.from_json(leaf) for path, leaf in value.items()}


def stacked(space: Space, stack: int) -> Space:
    """The space of stacks of k = ``stack`` frames, each leaf of shape ``[k, *shape]``.

    With a stack of 1 the space is unchanged.
    """
    if stack == 1:
        return space
    return {
        path: replace(leaf, shape=(stack, *leaf.shape), stack=stack) for path, leaf in space.items()
    }


def described(space: Space) -> str:
    """A space in words, for errors: ``choices of 2, 3 values at 'keys', a number at 'arm'``."""
    return ", ".join(
        _told(leaf) + (f" at {path!r}" if path else "") for path, leaf in space.items()
    )


def _told(leaf: Leaf) -> str:
    of = f" of shape {leaf.shape}" if len(leaf.shape) > 1 else ""
    if leaf.nvec:
        return f"choices of {', '.join(map(str, leaf.nvec))} values{of}"
    if leaf.is_discrete:
        several = f"{leaf.size} choices of {leaf.n} values{of}"
        return several if leaf.shape else f"one of {leaf.n} values"
    bounds = ""
    if leaf.low is not None and leaf.high is not None:
        bounds = f" from {leaf.low:g} to {leaf.high:g}"
    return f"{leaf.size} numbers{bounds}{of}" if leaf.size > 1 else f"a number{bounds}{of}"


def _bound(value: Any) -> float | None:
    if value is None or not math.isfinite(value):
        return None
    return float(value)


def smallest_integer_dtype(n: int) -> str:
    """The smallest unsigned type that holds ``0 … n−1``, else int64."""
    for name in ("uint8", "uint16", "uint32"):
        if n - 1 <= np.iinfo(name).max:
            return name
    return "int64"
