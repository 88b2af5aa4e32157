"""Dense layers and heads, each with initial weights from a seed of its own.

Orthogonal initial weights with gain √2 before the heads, 0.01 for what a policy is made of and 1
for values, as in "What Matters In On-Policy Reinforcement Learning?" (Andrychowicz et al., 2021,
§3.2).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Annotated

from pydantic import Field

from tinyqueue.data.seeds import seed32
from tinyqueue.distributions.arrays import Tensor
from tinyqueue.distributions.factored import POLICY_OUTPUTS
from tinyqueue.models.keras_import import Initializer, KerasLayer, import_keras
from tinyqueue.models.network import Output

Width = Annotated[int, Field(gt=0, le=65_536)]
Widths = Annotated[tuple[Width, ...], Field(max_length=32)]

SCALARS = ("value",)
"""Outputs of size 1 that lose their last axis: ``[B]``."""

_POLICY_GAIN = 0.01
"""Of what says something of actions: at first all are nearly as likely (§3.2)."""


def layer_name(name: str) -> str:
    """A name that Keras and TensorFlow take for a layer: any output's, such as ``mean/left arm``.

    What else than letters, digits, "_" and "-" is in it becomes ``.<hexadecimal>.``, so that
    names stay different.
    """
    return re.sub("[^A-Za-z0-9_-]", lambda found: f".{ord(found[0]):x}.", name)


def is_of_policy(name: str) -> bool:
    """Whether an output says something of actions: ``logits``, ``mean/arm``."""
    return name.partition("/")[0] in POLICY_OUTPUTS


class Layers:
    """Makes the layers of one network, in a fixed order of draws.

    Args:
        seed: Of the initial weights.
        activation: After every layer that is no head.
        policy: Keras dtype policy of what comes before the heads.
    """

    def __init__(self, seed: int, activation: str, policy: str = "float32") -> None:
        self._seed = seed
        self.activation = activation
        self.policy = policy
        self._draws = iter(range(2**31))

    def hidden(self, name: str, units: int, x: Tensor) -> Tensor:
        """A dense layer with the activation."""
        _, keras = import_keras()
        return keras.layers.Dense(
            units,
            self.activation,
            kernel_initializer=self.orthogonal(math.sqrt(2)),
            dtype=self.policy,
            name=name,
        )(x)

    def tower(self, name: str, widths: Sequence[int], x: Tensor) -> Tensor:
        """Dense layers one after the other."""
        for index, units in enumerate(widths):
            x = self.hidden(f"{name}_{index}", units, x)
        return x

    def heads(self, x: Tensor, outputs: Mapping[str, Output], stream: int) -> dict[str, Tensor]:
        """Every output, straight from ``x``; streams of dueling ones have ``stream`` units."""
        return {name: self.head(name, output, x, stream) for name, output in outputs.items()}

    def head(self, name: str, output: Output, x: Tensor, stream: int) -> Tensor:
        """One output; a dueling one as two streams with a hidden layer of their own, if any."""
        _, keras = import_keras()
        if output.state_independent:
            return _free_variable()(output.size, name=layer_name(name))(x)
        if not output.dueling:
            gain = _POLICY_GAIN if is_of_policy(name) else 1.0
            x = self._linear(layer_name(name), output.size, gain, x)
            is_scalar = name in SCALARS and output.size == 1
            return keras.layers.Reshape(())(x) if is_scalar else x
        widths = (stream,) if stream else ()
        value, advantage = (
            self._linear(part, size, 1.0, self.tower(f"{part}_hidden", widths, x))
            for part, size in ((f"{name}_value", 1), (f"{name}_advantage", output.size))
        )
        return value + advantage - keras.ops.mean(advantage, axis=-1, keepdims=True)

    def _linear(self, name: str, units: int, gain: float, x: Tensor) -> Tensor:
        """Numbers as they are, always float32."""
        _, keras = import_keras()
        initial = self.orthogonal(gain)
        return keras.layers.Dense(units, kernel_initializer=initial, dtype="float32", name=name)(x)

    def orthogonal(self, gain: float) -> Initializer:
        """An initializer with the next seed."""
        _, keras = import_keras()
        return keras.initializers.Orthogonal(gain, seed=self.next_seed())

    def next_seed(self) -> int:
        """A seed that no other layer has."""
        return seed32(self._seed, next(self._draws))


@cache
def _free_variable() -> KerasLayer:
    """The Keras layer ``[B, …]`` → ``[B, size]``: one variable, which starts at 0, in every row."""
    _, keras = import_keras()

    class FreeVariable(keras.layers.Layer):  # type: ignore[misc, name-defined]
        def __init__(self, size: int, name: str) -> None:
            super().__init__(name=name, dtype="float32")
            self.size = size

        def build(self, shape: tuple[int, ...]) -> None:
            self.value = self.add_weight(shape=(self.size,), initializer="zeros", name="value")

        def call(self, x: Tensor) -> Tensor:
            return keras.ops.broadcast_to(self.value, (keras.ops.shape(x)[0], self.size))

    return FreeVariable
