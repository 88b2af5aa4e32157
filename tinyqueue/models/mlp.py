"""Multilayer perceptrons: one tower per output, or one torso for all, with or without a memory.

Orthogonal initial weights with gain √2 before the heads, 0.01 for logits and 1 for values,
as in "What Matters In On-Policy Reinforcement Learning?" (Andrychowicz et al., 2021, §3.2).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from tinyqueue.data.seeds import seed32
from tinyqueue.data.spaces import Space
from tinyqueue.models.cells import Cell
from tinyqueue.models.inputs import (
    features,
    named_input,
    observation_inputs,
    previous_features,
    previous_inputs,
)
from tinyqueue.models.keras_import import import_keras
from tinyqueue.models.network import STATE, Network, Output, Recurrence

Width = Annotated[int, Field(gt=0, le=65_536)]
Widths = Annotated[tuple[Width, ...], Field(max_length=32)]

SCALARS = ("value",)
"""Outputs of size 1 that lose their last axis: ``[B]``."""

_HEAD_GAINS = {"logits": 0.01}


@dataclass(frozen=True)
class MlpConfig:
    """Layers of a perceptron. Two of 64 with tanh is the classic for vector observations."""

    hidden: Widths = (64, 64)
    """Units per hidden layer. PPO (Schulman et al., 2017)."""
    activation: Literal["tanh", "relu", "elu", "silu"] = "tanh"
    """After every hidden layer. tanh was best on-policy in Andrychowicz et al., 2021."""
    value_hidden: Widths | None = None
    """Units per hidden layer of the value's own tower; ``hidden`` when absent."""
    shared: bool = False
    """One torso for all outputs. Separate towers learned CartPole in fewer steps (measured)."""

    core: Literal["none", "lstm", "gru"] = "none"
    """A recurrent cell between one torso of ``hidden`` layers and all outputs: a memory, for
    tasks whose observations do not tell everything."""
    core_units: Width = 64
    """Units of that cell. R2D2 (Kapturowski et al., 2019) on Atari: 512."""
    previous: bool = False
    """See the previous action (one-hot) and reward (tanh of it, as in Acme) too. R2D2: true."""

    def __post_init__(self) -> None:
        if self.value_hidden is not None and (self.shared or self.core != "none"):
            raise ValueError(
                "value_hidden needs shared = false and core = 'none': a shared torso has one shape"
            )


def build(
    observations: Space, actions: Space, outputs: Mapping[str, Output], config: MlpConfig, seed: int
) -> Network:
    """The network.

    Args:
        observations: What it sees.
        actions: Of which the previous one may be an input.
        outputs: What it says.
        config: Its layers.
        seed: Of the initial weights; the same seed gives the same weights.

    Raises:
        ConfigError: ``previous`` is set, and there is more than one leaf of actions.
    """
    _, keras = import_keras()
    inputs = observation_inputs(observations)
    columns = [features(inputs, observations)]
    if config.previous:
        inputs |= previous_inputs(actions)
        columns += previous_features(inputs, actions)
    seen = columns[0] if len(columns) == 1 else keras.layers.Concatenate(axis=-1)(columns)
    layers = _Layers(config, seed)
    if config.core == "none":
        return Network(keras.Model(inputs, layers.towers(seen, outputs)), observations)
    cell = Cell(config.core, config.core_units, seed)
    product = cell.product(layers.tower("hidden", config.hidden, seen))
    state = {
        path: named_input(shape, "float32", STATE + path) for path, shape in cell.state.items()
    }
    after = cell.tick(product, state)
    hidden = keras.Input((config.core_units,), name="core")
    heads = keras.Model(hidden, layers.heads(hidden, outputs, config.core_units))
    step = keras.Model(
        inputs | {STATE + path: tensor for path, tensor in state.items()},
        heads(after["hidden"]) | {STATE + path: tensor for path, tensor in after.items()},
    )
    return Network(step, observations, Recurrence(keras.Model(inputs, product), cell, heads))


class _Layers:
    """Makes dense layers, each from a seed of its own."""

    def __init__(self, config: MlpConfig, seed: int) -> None:
        self._config = config
        self._seed = seed
        self._draws = iter(range(2**31))

    def dense(self, name: str, units: int, gain: float, activation: str | None, x: Any) -> Any:
        _, keras = import_keras()
        initial = keras.initializers.Orthogonal(gain, seed=seed32(self._seed, next(self._draws)))
        return keras.layers.Dense(units, activation, kernel_initializer=initial, name=name)(x)

    def tower(self, name: str, widths: tuple[int, ...], x: Any) -> Any:
        for index, units in enumerate(widths):
            x = self.dense(f"{name}_{index}", units, math.sqrt(2), self._config.activation, x)
        return x

    def towers(self, x: Any, outputs: Mapping[str, Output]) -> dict[str, Any]:
        """Every output of a feed-forward network, behind its own tower or behind one for all."""
        config = self._config
        torso = self.tower("hidden", config.hidden, x) if config.shared else None
        results = {}
        for name, output in outputs.items():
            if torso is not None:
                stream = config.hidden[-1] if config.hidden else 0
                results[name] = self.head(name, output, torso, stream)
                continue
            widths = config.hidden
            if name == "value" and config.value_hidden is not None:
                widths = config.value_hidden
            stream = widths[-1] if output.dueling and widths else 0
            behind = self.tower(f"{name}_hidden", widths[:-1] if stream else widths, x)
            results[name] = self.head(name, output, behind, stream)
        return results

    def heads(self, x: Any, outputs: Mapping[str, Output], stream: int) -> dict[str, Any]:
        """Every output, straight from the core."""
        return {name: self.head(name, output, x, stream) for name, output in outputs.items()}

    def head(self, name: str, output: Output, x: Any, stream: int) -> Any:
        """One output; a dueling one as two streams with a hidden layer of their own, if any."""
        _, keras = import_keras()
        if not output.dueling:
            x = self.dense(name, output.size, _HEAD_GAINS.get(name, 1.0), None, x)
            is_scalar = name in SCALARS and output.size == 1
            return keras.layers.Reshape(())(x) if is_scalar else x
        widths = (stream,) if stream else ()
        value, advantage = (
            self.dense(part, size, 1.0, None, self.tower(f"{part}_hidden", widths, x))
            for part, size in ((f"{name}_value", 1), (f"{name}_advantage", output.size))
        )
        return value + advantage - keras.ops.mean(advantage, axis=-1, keepdims=True)
