"""Names for tensors in signatures, and what is asserted of them when a graph is built."""

from __future__ import annotations

from typing import Any, TypeAlias

Tensor: TypeAlias = Any
"""A TensorFlow tensor, or where mathematics is tried by hand a NumPy array. TensorFlow publishes
no types."""

Variable: TypeAlias = Any
"""A ``tf.Variable``."""

GradientTape: TypeAlias = Any
"""A ``tf.GradientTape``."""


def require(shape: tuple[int | None, ...], dtype: str, **tensors: Tensor) -> None:
    """Asserts what a formula takes for granted, as rlax does: once per graph, so it costs nothing
    when the graph runs.

    Args:
        shape: Sizes, None for any. A size that a tensor does not know yet fits too.
        dtype: By NumPy's name.
        tensors: By the names that an error calls them.

    Raises:
        ValueError: A tensor has another rank, size or type.
    """
    for name, tensor in tensors.items():
        found = tuple(tensor.shape)
        fits = len(found) == len(shape) and all(
            size is None or have is None or size == have
            for size, have in zip(shape, found, strict=True)
        )
        if not fits or tensor.dtype.name != dtype:
            raise ValueError(
                f"{name} must be {dtype}{_shown(shape)}, not {tensor.dtype.name}{_shown(found)}"
            )


def _shown(shape: tuple[int | None, ...]) -> str:
    return "[" + ", ".join("…" if size is None else str(size) for size in shape) + "]"
