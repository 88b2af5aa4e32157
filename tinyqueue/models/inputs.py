"""Keras inputs for an observation space, and one flat feature vector made of them."""

from __future__ import annotations

from typing import Any

from tinyqueue.data.spaces import Leaf, Space
from tinyqueue.models.keras_import import import_keras


def observation_inputs(space: Space) -> dict[str, Any]:
    """One Keras input per leaf, by path, so that a model is called with ``{path: [B, *obs]}``."""
    _, keras = import_keras()
    inputs = {}
    for index, (path, leaf) in enumerate(space.items()):
        tensor = keras.Input(leaf.shape, dtype=leaf.dtype, name=f"observation_{index}")
        # A layer's name may be neither empty nor hold a "/", as paths do; Keras matches the
        # keys of a dict of inputs with the names of tensors, which may.
        tensor.name = path
        inputs[path] = tensor
    return inputs


def features(inputs: dict[str, Any], space: Space) -> Any:
    """``[B, F]`` float32: every leaf flattened, in the order of the space.

    Discrete values become one-hot; bounded integers (images) are scaled to 0 … 1; floats
    are taken as they are.
    """
    _, keras = import_keras()
    columns = [_columns(inputs[path], leaf) for path, leaf in space.items()]
    return columns[0] if len(columns) == 1 else keras.layers.Concatenate(axis=-1)(columns)


def _columns(tensor: Any, leaf: Leaf) -> Any:
    _, keras = import_keras()
    if leaf.is_discrete:
        tensor = keras.ops.one_hot(keras.ops.cast(tensor, "int32"), leaf.n, dtype="float32")
    elif not leaf.dtype.startswith("float"):
        tensor = keras.ops.cast(tensor, "float32")
        if leaf.low is not None and leaf.high is not None and leaf.high > leaf.low:
            tensor = (tensor - leaf.low) / (leaf.high - leaf.low)
    if len(tensor.shape) == 2:
        return tensor
    size = 1
    for width in tensor.shape[1:]:
        size *= width
    return keras.layers.Reshape((size,))(tensor)
