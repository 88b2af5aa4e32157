"""Names for TensorFlow's types, which it does not publish, and assertions on tensors.

Tensors are checked when a graph is built.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from tinyqueue.distributions import Tensor

Variable: TypeAlias = Any
"""A ``tf.Variable``."""

GradientTape: TypeAlias = Any
"""A ``tf.GradientTape``."""

Operation: TypeAlias = Any
"""A ``tf.Operation``."""


def require(shape: tuple[int | None, ...], dtype: str, **tensors: Tensor) -> None:
    """Checks what a formula assumes, as rlax does.

    Once per graph, so it costs nothing when the graph runs.

    Args:
        shape: Sizes; None for any. A size that is not yet known in a tensor also fits.
        dtype: NumPy's name of it.
        tensors: The tensors, by the names used in the error.

    Raises:
        ValueError: A tensor has a different rank, size or type.
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
