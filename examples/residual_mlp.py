"""A perceptron of residual blocks (He et al., 2016, arXiv:1603.05027), a model in one file.

    tinyqueue train CartPole-v1 --set model.name=examples/residual_mlp.py:residual_mlp

A block adds a normalised hidden layer to what it is given: x + relu(W · norm(x) + b).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from tinyqueue.data.spaces import Space
from tinyqueue.models.inputs import features, observation_inputs
from tinyqueue.models.keras_import import import_keras
from tinyqueue.models.layers import Layers, Width
from tinyqueue.models.network import Network, Output


@dataclass(frozen=True)
class ResidualMlpConfig:
    """Layers of the network."""

    width: Width = 64
    """Units of every layer. PPO's perceptron has 64 too (Schulman et al., 2017)."""
    blocks: Annotated[int, Field(ge=0, le=64)] = 2
    """Residual blocks after the first layer."""


def residual_mlp(
    observations: Space,
    actions: Space,
    outputs: Mapping[str, Output],
    config: ResidualMlpConfig,
    seed: int,
) -> Network:
    """The network: one torso for all outputs.

    Args:
        observations: Space of its inputs.
        actions: Unused, since the previous action is not an input.
        outputs: Name of the output → its size and kind.
        config: Its layers.
        seed: Of the initial weights; the same seed gives the same weights.
    """
    _, keras = import_keras()
    inputs = observation_inputs(observations)
    layers = Layers(seed, "relu")
    x = layers.hidden("first", config.width, features(inputs, observations))
    for index in range(config.blocks):
        normalised = keras.layers.LayerNormalization(name=f"norm_{index}")(x)
        x = x + layers.hidden(f"block_{index}", config.width, normalised)
    return Network(keras.Model(inputs, layers.heads(x, outputs, config.width)), observations)
