"""What any family of networks may have: a recurrent core, and the previous action and reward."""

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
    """What a network knows of ticks before the present one."""

    core: Literal["none", "lstm", "gru"] = "none"
    """A recurrent cell between one torso and all outputs: a memory, for tasks whose
    observations do not tell everything."""
    core_units: Width = 64
    """Units of that cell. R2D2 (Kapturowski et al., 2019) on Atari: 512."""
    previous: bool = False
    """See the previous action (one-hot) and reward (tanh of it, as in Acme) too. R2D2: true."""


def with_core(
    inputs: dict[str, Tensor],
    seen: Tensor,
    observations: Space,
    outputs: Mapping[str, Output],
    layers: Layers,
    config: MemoryConfig,
    seed: int,
) -> Network:
    """A network whose outputs stand on a recurrent cell.

    Args:
        inputs: Of one tick, without state.
        seen: ``[B, n]`` what the torso makes of them.
        observations: What it sees.
        outputs: What it says.
        layers: Makes the heads.
        config: With a ``core``.
        seed: Of the cell's initial weights.
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
