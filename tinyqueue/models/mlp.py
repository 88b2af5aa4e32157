"""Multilayer perceptrons: one tower per output, or one torso for all.

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
from tinyqueue.models.inputs import features, observation_inputs
from tinyqueue.models.keras_import import import_keras

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

    def __post_init__(self) -> None:
        if self.shared and self.value_hidden is not None:
            raise ValueError("value_hidden needs shared = false: a shared torso has one shape")


def build(observations: Space, outputs: Mapping[str, int], config: MlpConfig, seed: int) -> Any:
    """A ``keras.Model`` from ``{path: [B, *obs]}`` to ``{name: [B, size]}``, float32.

    Args:
        observations: What it sees.
        outputs: Name → size; ``value`` comes as ``[B]``.
        config: Its layers.
        seed: Of the initial weights; the same seed gives the same weights.
    """
    _, keras = import_keras()
    inputs = observation_inputs(observations)
    seen = features(inputs, observations)
    draws = iter(range(2**31))

    def dense(name: str, units: int, gain: float, activation: str | None) -> Any:
        initial = keras.initializers.Orthogonal(gain, seed=seed32(seed, next(draws)))
        return keras.layers.Dense(units, activation, kernel_initializer=initial, name=name)

    def tower(name: str, widths: tuple[int, ...]) -> Any:
        x = seen
        for index, units in enumerate(widths):
            x = dense(f"{name}_{index}", units, math.sqrt(2), config.activation)(x)
        return x

    torso = tower("hidden", config.hidden) if config.shared else None
    results = {}
    for name, size in outputs.items():
        own = config.hidden
        if name == "value" and config.value_hidden is not None:
            own = config.value_hidden
        x = torso if torso is not None else tower(f"{name}_hidden", own)
        x = dense(name, size, _HEAD_GAINS.get(name, 1.0), None)(x)
        results[name] = keras.layers.Reshape(())(x) if name in SCALARS and size == 1 else x
    return keras.Model(inputs, results)
