"""Keras inputs for an observation space, and one flat feature vector made of them."""

from __future__ import annotations

import math

from tinyqueue.data.names import REWARD_INPUT, action_input
from tinyqueue.data.spaces import Leaf, Space
from tinyqueue.distributions.arrays import Tensor
from tinyqueue.models.keras_import import import_keras

MOST_ONE_HOT = 8192
"""One-hot columns that one leaf may have: a first layer of 64 units then has half a million
weights. A million states would take four megabytes per row of a batch."""


def named_input(shape: tuple[int, ...], dtype: str, key: str) -> Tensor:
    """A Keras input of a model that is called with a dict; ``key`` may be any string."""
    _, keras = import_keras()
    # Unlike keys, a layer's name may not be empty or contain "/" or ":". Keras matches the keys
    # of a dict of inputs with the names of tensors, which may.
    tensor = keras.Input(shape, dtype=dtype, name=f"input_{key.encode().hex()}")
    tensor.name = key
    return tensor


def observation_inputs(space: Space) -> dict[str, Tensor]:
    """One Keras input per leaf, by path: the model is called with ``{path: [B, *obs]}``."""
    return {path: named_input(leaf.shape, leaf.dtype, path) for path, leaf in space.items()}


def previous_inputs(actions: Space) -> dict[str, Tensor]:
    """Inputs for the previous action and reward.

    ``[B, *act]`` per leaf of the action, in the leaf's dtype, and ``[B]`` for the reward.
    """
    keys = {action_input(path): leaf for path, leaf in actions.items()}
    inputs = {key: named_input(leaf.shape, leaf.dtype, key) for key, leaf in keys.items()}
    return inputs | {REWARD_INPUT: named_input((), "float32", REWARD_INPUT)}


def previous_features(inputs: dict[str, Tensor], actions: Space) -> list[Tensor]:
    """``[B, n]`` per leaf of actions, and ``[B, 1]`` tanh of the reward, which may be of any size.

    Leaves are encoded like those of observations: discrete ones one-hot, floats unchanged.
    """
    _, keras = import_keras()
    reward = keras.ops.tanh(keras.layers.Reshape((1,))(inputs[REWARD_INPUT]))
    seen = [leaf_columns(inputs[action_input(path)], leaf) for path, leaf in actions.items()]
    return [*seen, reward]


def features(inputs: dict[str, Tensor], space: Space) -> Tensor:
    """``[B, F]`` float32: all leaves flattened and joined, in the order of the space.

    Discrete values become one-hot, or binary digits if one-hot needed more than
    :data:`MOST_ONE_HOT` columns; bounded integers (images) are scaled to 0 … 1; floats are
    unchanged.
    """
    _, keras = import_keras()
    columns = [leaf_columns(inputs[path], leaf) for path, leaf in space.items()]
    return columns[0] if len(columns) == 1 else keras.layers.Concatenate(axis=-1)(columns)


def leaf_columns(tensor: Tensor, leaf: Leaf) -> Tensor:
    """``[B, n]`` float32 of one leaf, ``[B, *shape]``, encoded as :func:`features` says."""
    _, keras = import_keras()
    if leaf.is_discrete:
        is_small = leaf.n * leaf.size <= MOST_ONE_HOT
        tensor = _one_hot(tensor, leaf.n) if is_small else _digits(tensor, leaf.n)
    elif not leaf.dtype.startswith("float"):
        tensor = keras.ops.cast(tensor, "float32")
        if leaf.low is not None and leaf.high is not None and leaf.high > leaf.low:
            tensor = (tensor - leaf.low) / (leaf.high - leaf.low)
    if len(tensor.shape) == 2:
        return tensor
    return keras.layers.Reshape((math.prod(tensor.shape[1:]),))(tensor)


def _one_hot(tensor: Tensor, n: int) -> Tensor:
    _, keras = import_keras()
    return keras.ops.one_hot(keras.ops.cast(tensor, "int32"), n, dtype="float32")


def _digits(tensor: Tensor, n: int) -> Tensor:
    """``[…, ⌈log₂ n⌉]`` binary digits: all values stay distinct, at little cost."""
    _, keras = import_keras()
    whole = keras.ops.expand_dims(keras.ops.cast(tensor, "int32" if n < 1 << 31 else "int64"), -1)
    places = [1 << place for place in range(max(1, (n - 1).bit_length()))]
    columns = [keras.ops.mod(keras.ops.floor_divide(whole, place), 2) for place in places]
    return keras.ops.cast(keras.ops.concatenate(columns, axis=-1), "float32")
