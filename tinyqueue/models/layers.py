"""Dense layers and heads, each initialised from its own seed.

Initial weights are orthogonal, with gain √2 before the heads, 0.01 for the policy's parameters and
1 for values, as in "What Matters In On-Policy Reinforcement Learning?" (Andrychowicz et al., 2021,
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
"""Outputs of size 1 without their last axis: ``[B]``."""

_POLICY_GAIN = 0.01
"""Of the policy's parameters: at first, all actions are almost equally likely (§3.2)."""


def layer_name(name: str) -> str:
    """A layer name that Keras and TensorFlow accept, for any output, such as ``mean/left arm``.

    Characters other than letters, digits, "_" and "-" become ``.<hexadecimal>.``, so that
    different names stay different.
    """
    return re.sub("[^A-Za-z0-9_-]", lambda found: f".{ord(found[0]):x}.", name)


def is_of_policy(name: str) -> bool:
    """Whether an output parametrises actions: ``logits``, ``mean/arm``."""
    return name.partition("/")[0] in POLICY_OUTPUTS


class Layers:
    """Creates the layers of one network, with seeds in a fixed order.

    Args:
        seed: Seed of the initial weights.
        activation: Used after every layer except heads.
        policy: Keras dtype policy of the layers before the heads.
        layer_norm: Whether every layer except heads is normalised before its activation.
    """

    def __init__(
        self, seed: int, activation: str, policy: str = "float32", *, layer_norm: bool = False
    ) -> None:
        self._seed = seed
        self.activation = activation
        self.policy = policy
        self._layer_norm = layer_norm
        self._draws = iter(range(2**31))
        self._prefix = ""

    def branch(self, prefix: str, policy: str) -> Layers:
        """Layers of the same network whose names begin with ``prefix``, with another policy.

        They draw from the same seeds, so branches must be used in a fixed order too.
        """
        branch = Layers(self._seed, self.activation, policy, layer_norm=self._layer_norm)
        branch._draws = self._draws
        branch._prefix = self._prefix + prefix
        return branch

    def named(self, name: str) -> str:
        """The name of a layer in this branch."""
        return self._prefix + name

    def hidden(self, name: str, units: int, x: Tensor) -> Tensor:
        """A dense layer with the activation: ``[B, n]`` → ``[B, units]``."""
        _, keras = import_keras()
        x = keras.layers.Dense(
            units,
            kernel_initializer=self.orthogonal(math.sqrt(2)),
            dtype=self.policy,
            name=self.named(name),
        )(x)
        return self.activated(name, x)

    def activated(self, name: str, x: Tensor, activation: str | None = None) -> Tensor:
        """The activation of a layer's output ``[B, …, n]``, after LayerNorm if there is one.

        LayerNorm (Ba et al., 2016, arXiv:1607.06450) is over the last axis, the units or channels.

        Args:
            name: The layer's name.
            x: Its output.
            activation: Another activation than the one of all layers.
        """
        _, keras = import_keras()
        if self._layer_norm:
            # In float32: means of bfloat16 would have three digits.
            norm = keras.layers.LayerNormalization(dtype="float32", name=self.named(f"{name}_norm"))
            x = keras.ops.cast(norm(x), x.dtype)
        activated: Tensor = keras.activations.get(activation or self.activation)(x)
        return activated

    def tower(self, name: str, widths: Sequence[int], x: Tensor) -> Tensor:
        """Dense layers in sequence: ``[B, n]`` → ``[B, widths[-1]]``; ``x`` if there are none."""
        for index, units in enumerate(widths):
            x = self.hidden(f"{name}_{index}", units, x)
        return x

    def heads(self, x: Tensor, outputs: Mapping[str, Output], stream: int) -> dict[str, Tensor]:
        """All outputs, each a head on ``x``; the streams of dueling ones have ``stream`` units."""
        return {name: self.head(name, output, x, stream) for name, output in outputs.items()}

    def head(self, name: str, output: Output, x: Tensor, stream: int) -> Tensor:
        """One output.

        A dueling one has two streams, each with a hidden layer of ``stream`` units; 0: no hidden
        layer.
        """
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

    def linear(self, name: str, units: int, x: Tensor) -> Tensor:
        """A linear map without activation, always float32: ``[B, n]`` → ``[B, units]``."""
        return self._linear(self.named(name), units, 1.0, x)

    def _linear(self, name: str, units: int, gain: float, x: Tensor) -> Tensor:
        """A dense layer without activation, always float32."""
        _, keras = import_keras()
        initial = self.orthogonal(gain)
        return keras.layers.Dense(units, kernel_initializer=initial, dtype="float32", name=name)(x)

    def orthogonal(self, gain: float) -> Initializer:
        """An orthogonal initializer with the next seed."""
        _, keras = import_keras()
        return keras.initializers.Orthogonal(gain, seed=self.next_seed())

    def next_seed(self) -> int:
        """The next seed; every layer gets a different one."""
        return seed32(self._seed, next(self._draws))


@cache
def _free_variable() -> KerasLayer:
    """The Keras layer ``[B, …]`` → ``[B, size]``: one variable in every row, initially 0."""
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
