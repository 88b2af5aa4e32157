"""Images, vectors and discrete values in one network: a torso per kind of leaf, then joined.

``camera`` of ``[84, 84, 3]``, ``velocity`` of ``[6]`` and ``task`` of five values need different
layers. Every image has convolutions and a dense layer of its own; all vectors share dense layers;
a discrete leaf is one-hot, or an embedding where that has too many columns. Their features, and
the previous action and reward if asked for, are joined, and dense layers follow, then the core
and the outputs. It is the default wherever observations have an image.

Comparable networks: the multi-input policies of Stable-Baselines3, and the torso of DeepMind Lab's
agents in IMPALA (Espeholt et al., 2018), which joins an image, an instruction and the last reward.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from tinyqueue.data.spaces import Leaf, Space
from tinyqueue.distributions.arrays import Tensor
from tinyqueue.models import impala, minatar, nature
from tinyqueue.models.image_leaves import (
    Channels,
    ImageLayout,
    frames_of,
    image_layout,
    is_image,
)
from tinyqueue.models.images import Convolution, Convolve, convolutions
from tinyqueue.models.inputs import (
    leaf_columns,
    observation_inputs,
    previous_features,
    previous_inputs,
)
from tinyqueue.models.keras_import import import_keras
from tinyqueue.models.layers import Layers, Width, Widths, layer_name
from tinyqueue.models.memory import MemoryConfig, with_core
from tinyqueue.models.network import Network, Output
from tinyqueue.models.precision import Precision, dtype_policy

SMALL = (Convolution(32, 4, 2), Convolution(64, 3, 2))
"""For images of 12 to 35 pixels: as much of the Nature network as fits, at half its strides."""
MOST_ONE_HOT = 64
"""One-hot columns of a discrete leaf that are joined as they are; more become an embedding."""


@dataclass(frozen=True)
class MultiInputConfig(MemoryConfig):
    """``multi-input``: for Dict and Tuple observations, and for a single image of any size."""

    core_units: Width = 256
    """Units of the cell. IMPALA (Espeholt et al., 2018): an LSTM of 256."""
    convolutions: Literal["auto", "nature", "small", "minatar", "impala"] = "auto"
    """Convolutions of every image. ``auto`` goes by its shorter side: ``nature`` from 36 pixels,
    ``small`` (4×4/2, 3×3/2) from 12, and ``minatar`` (3×3/1) below."""
    channels: Channels = "auto"
    """Whether images of three axes are ``[c, H, W]`` (first) or ``[H, W, c]`` (last)."""
    image_units: Width = 256
    """Units of the dense layer after the convolutions of an image. IMPALA: 256."""
    vector_units: Widths = (64,)
    """Units per dense layer of the torso that all vectors share."""
    embedding_units: Width = 32
    """Units of the embedding of a discrete leaf with more than 64 one-hot columns."""
    hidden: Widths = (256,)
    """Units per dense layer behind the joined features. IMPALA: 256."""
    activation: Literal["tanh", "relu", "elu", "silu"] = "relu"
    """Used after every layer but embeddings; convolutions always have ReLU."""
    layer_norm: bool = False
    """LayerNorm in every layer but embeddings and heads, before its activation. PQN (Gallici et
    al., 2024) needs it."""
    precision: Precision = "auto"
    """Precision of the images' own layers in training; all others are float32."""


def build(
    observations: Space,
    actions: Space,
    outputs: Mapping[str, Output],
    config: MultiInputConfig,
    seed: int,
) -> Network:
    """Builds the network; observations without an image are allowed.

    Args:
        observations: The observation space.
        actions: The action space, for the previous action.
        outputs: The outputs, by name.
        config: Its layers.
        seed: Seed of the initial weights; the same seed gives the same weights.

    Raises:
        ConfigError: An image is too small for the convolutions that were chosen.
    """
    _, keras = import_keras()
    inputs = observation_inputs(observations)
    layers = Layers(seed, config.activation, layer_norm=config.layer_norm)
    parts = _torsos(layers, inputs, observations, config)
    if config.previous:
        inputs |= previous_inputs(actions)
        parts += previous_features(inputs, actions)
    joined = parts[0] if len(parts) == 1 else keras.layers.Concatenate(axis=-1)(parts)
    if config.core != "none":
        seen = layers.tower("hidden", config.hidden, joined)
        return with_core(inputs, seen, observations, outputs, layers, config, seed)
    *before, stream = config.hidden or (0,)
    shared = layers.tower("hidden", before, joined)
    results = {}
    if any(not output.dueling for output in outputs.values()) and stream:
        torso = layers.hidden(f"hidden_{len(before)}", stream, shared)
    else:
        torso = shared
    for name, output in outputs.items():
        behind = shared if output.dueling else torso
        results[name] = layers.head(name, output, behind, stream)
    return Network(keras.Model(inputs, results), observations)


def _torsos(
    layers: Layers, inputs: Mapping[str, Tensor], space: Space, config: MultiInputConfig
) -> list[Tensor]:
    """``[B, n]`` of every image, of all vectors together, and of every discrete leaf."""
    _, keras = import_keras()
    images, vectors, discrete = [], [], []
    for path, leaf in space.items():
        if is_image(leaf, config.channels):
            images.append(_image(layers, path, leaf, inputs[path], config))
        elif leaf.is_discrete:
            discrete.append(_discrete(layers, path, leaf, inputs[path], config))
        else:
            vectors.append(leaf_columns(inputs[path], leaf))
    if vectors:
        joined = vectors[0] if len(vectors) == 1 else keras.layers.Concatenate(axis=-1)(vectors)
        vectors = [layers.tower("vector", config.vector_units, joined)]
    return images + vectors + discrete


def _image(
    layers: Layers, path: str, leaf: Leaf, tensor: Tensor, config: MultiInputConfig
) -> Tensor:
    _, keras = import_keras()
    layout = image_layout(leaf, config.channels)
    own = layers.branch(f"image_{layer_name(path)}_", dtype_policy(config.precision))
    features = _convolve(layout, config)(own, layout, frames_of(tensor, layout))
    features = keras.layers.Reshape((math.prod(features.shape[1:]),))(features)
    return own.hidden("dense", config.image_units, features)


def _convolve(layout: ImageLayout, config: MultiInputConfig) -> Convolve:
    chosen = config.convolutions
    if chosen == "impala":
        return impala.convolve
    if chosen == "auto":
        side = min(layout.height, layout.width)
        chosen = "nature" if side >= 36 else "small" if side >= 12 else "minatar"
    parts = {"nature": nature.CONVOLUTIONS, "small": SMALL, "minatar": minatar.CONVOLUTIONS}
    return convolutions(parts[chosen])


def _discrete(
    layers: Layers, path: str, leaf: Leaf, tensor: Tensor, config: MultiInputConfig
) -> Tensor:
    columns = leaf_columns(tensor, leaf)
    if columns.shape[-1] <= MOST_ONE_HOT:
        return columns
    # A row of this kernel per value: an embedding, whose gradient is dense as optimisers expect.
    return layers.linear(f"embedding_{layer_name(path)}", config.embedding_units, columns)
