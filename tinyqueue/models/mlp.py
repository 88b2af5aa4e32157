"""Multilayer perceptrons, with or without a memory.

One tower for the policy and one for each other output, or one torso for all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from tinyqueue.data.spaces import Space
from tinyqueue.distributions.arrays import Tensor
from tinyqueue.models.inputs import (
    features,
    observation_inputs,
    previous_features,
    previous_inputs,
)
from tinyqueue.models.keras_import import import_keras
from tinyqueue.models.layers import Layers, Widths, is_of_policy, layer_name
from tinyqueue.models.memory import MemoryConfig, with_core
from tinyqueue.models.network import Network, Output


@dataclass(frozen=True)
class MlpConfig(MemoryConfig):
    """Layers of a perceptron. Two of 64 with tanh are the classic for vector observations."""

    hidden: Widths = (64, 64)
    """Units per hidden layer. PPO (Schulman et al., 2017)."""
    activation: Literal["tanh", "relu", "elu", "silu"] = "tanh"
    """Used after every hidden layer. tanh was best on-policy in Andrychowicz et al., 2021."""
    layer_norm: bool = False
    """LayerNorm in hidden layers, before the activation. PQN (Gallici et al., 2024) needs it."""
    value_hidden: Widths | None = None
    """Units per hidden layer of the value's own tower; ``hidden`` when absent."""
    shared: bool = False
    """One torso for all outputs. Separate towers learned CartPole in fewer steps (measured)."""

    def __post_init__(self) -> None:
        if self.value_hidden is not None and (self.shared or self.core != "none"):
            raise ValueError(
                "value_hidden needs shared = false and core = 'none': a shared torso has one shape"
            )


def build(
    observations: Space, actions: Space, outputs: Mapping[str, Output], config: MlpConfig, seed: int
) -> Network:
    """Builds the network.

    Args:
        observations: The observation space.
        actions: The action space, for the previous action.
        outputs: The outputs, by name.
        config: Its layers.
        seed: Seed of the initial weights; the same seed gives the same weights.
    """
    _, keras = import_keras()
    inputs = observation_inputs(observations)
    columns = [features(inputs, observations)]
    if config.previous:
        inputs |= previous_inputs(actions)
        columns += previous_features(inputs, actions)
    seen = columns[0] if len(columns) == 1 else keras.layers.Concatenate(axis=-1)(columns)
    layers = Layers(seed, config.activation, layer_norm=config.layer_norm)
    if config.core == "none":
        return Network(keras.Model(inputs, _towers(layers, config, seen, outputs)), observations)
    torso = layers.tower("hidden", config.hidden, seen)
    return with_core(inputs, torso, observations, outputs, layers, config, seed)


def _towers(
    layers: Layers, config: MlpConfig, x: Tensor, outputs: Mapping[str, Output]
) -> dict[str, Tensor]:
    """The outputs of a feed-forward network, with one tower per role, or one torso for all."""
    if config.shared:
        torso = layers.tower("hidden", config.hidden, x)
        return layers.heads(torso, outputs, config.hidden[-1] if config.hidden else 0)
    towers: dict[str, Tensor] = {}
    results = {}
    for name, output in outputs.items():
        if output.state_independent:
            results[name] = layers.head(name, output, x, 0)
            continue
        widths = config.hidden
        if name == "value" and config.value_hidden is not None:
            widths = config.value_hidden
        stream = widths[-1] if output.dueling and widths else 0
        role = "policy" if is_of_policy(name) else name
        if role not in towers:
            tower = f"{layer_name(name)}_hidden"
            towers[role] = layers.tower(tower, widths[:-1] if stream else widths, x)
        results[name] = layers.head(name, output, towers[role], stream)
    return results
