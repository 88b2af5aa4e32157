"""Memory for any family of networks: a recurrent core, and the previous action and reward."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from tinyqueue.data.spaces import Space
from tinyqueue.distributions.arrays import Tensor
from tinyqueue.models.cells import Cell
from tinyqueue.models.inputs import named_input
from tinyqueue.models.keras_import import import_keras
from tinyqueue.models.layers import Layers, Width
from tinyqueue.models.network import STATE, Network, Output, Recurrence


@dataclass(frozen=True)
class MemoryConfig:
    """What a network knows about earlier ticks."""

    core: Literal["none", "lstm", "gru"] = "none"
    """A recurrent cell between one torso and all outputs: a memory, for partially observed
    tasks."""
    core_units: Width = 64
    """Units of that cell. R2D2 (Kapturowski et al., 2019) on Atari: 512."""
    previous: bool = False
    """Also use the previous action (one-hot) and reward (its tanh, as in Acme). R2D2: true."""


def with_core(
    inputs: dict[str, Tensor],
    seen: Tensor,
    observations: Space,
    outputs: Mapping[str, Output],
    layers: Layers,
    config: MemoryConfig,
    seed: int,
) -> Network:
    """A network whose outputs are heads on a recurrent cell.

    Args:
        inputs: Inputs of one tick, without the state.
        seen: ``[B, n]`` features that the torso makes of them.
        observations: The observation space.
        outputs: The outputs, by name.
        layers: Creates the heads.
        config: A config with a ``core`` other than ``none``.
        seed: Seed of the cell's initial weights.
    """
    _, keras = import_keras()
    assert config.core != "none"
    cell = Cell(config.core, config.core_units, seed)
    product = cell.product(seen)
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
