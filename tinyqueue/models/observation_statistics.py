"""Normalised observations: a layer on every input of floats, in front of any model.

Its mean and deviation are variables that no gradient changes: the learner sets them from what was
played (:mod:`tinyqueue.experience.normalisation`). They travel with the other weights, so players,
evaluations, checkpoints and samples normalise by the numbers of their own weight version.

Numbers are brought to a common size once: what is normalised here is not scaled by its bounds as
well, and all else is left to the model, which may scale it by them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache

from tinyqueue.data.names import OBSERVATION_STATISTICS
from tinyqueue.data.spaces import Leaf, Space
from tinyqueue.distributions.arrays import Tensor
from tinyqueue.models.image_leaves import is_image
from tinyqueue.models.keras_import import KerasLayer, KerasModel, import_keras
from tinyqueue.models.layers import layer_name
from tinyqueue.models.network import Network, Recurrence

MOST_DEVIATIONS = 10.0
"""Normalised observations are clipped to ± this, as in OpenAI's baselines and SB3."""


def is_normalised(leaf: Leaf) -> bool:
    """Whether observations of this leaf are normalised: real numbers are; values and images not."""
    return not leaf.is_discrete and leaf.dtype.startswith("float") and not is_image(leaf)


def statistics_of(observations: Space) -> dict[str, KerasLayer]:
    """A layer for every leaf of real numbers, by path; they change nothing but clip at first.

    Args:
        observations: The observation space of a network. The frames of a stack share statistics.
    """
    return {
        path: _layer()(leaf.frame.shape, name=f"{OBSERVATION_STATISTICS}{layer_name(path)}")
        for path, leaf in observations.items()
        if is_normalised(leaf)
    }


def without_bounds(observations: Space, layers: Mapping[str, KerasLayer]) -> Space:
    """What a network behind these layers sees: what is normalised has no bounds to scale it by.

    Without this, a model with convolutions would scale a normalised table of 0 … 255 once more.

    Args:
        observations: The observation space of the network.
        layers: From :func:`statistics_of`.
    """
    return {
        path: replace(leaf, low=None, high=None) if path in layers else leaf
        for path, leaf in observations.items()
    }


def with_statistics(
    network: Network, layers: Mapping[str, KerasLayer], observations: Space
) -> Network:
    """The same network behind these layers: the same variables, and theirs.

    Args:
        network: A network for :func:`without_bounds`.
        layers: From :func:`statistics_of`. Inputs with other paths are not normalised. Several
            networks may share them.
        observations: The observation space in front of the layers.
    """
    if not layers:
        return network
    parts = network.recurrence
    recurrence = None
    if parts is not None:
        recurrence = Recurrence(_behind(layers, parts.torso), parts.cell, parts.heads)
    step = _behind(layers, network.step)
    return Network(step, observations, recurrence, statistics=layers)


def _behind(layers: Mapping[str, KerasLayer], model: KerasModel) -> KerasModel:
    _, keras = import_keras()
    inputs = dict(model.input)
    seen = {key: layers[key](x) if key in layers else x for key, x in inputs.items()}
    # Not `model(seen)`, which would make one layer of it: players get only the layers they need.
    return keras.Model(inputs, model.call(seen))


@cache
def _layer() -> KerasLayer:
    """The Keras layer ``[B, *shape]``, or stacks ``[B, k, *shape]``, → the same, normalised."""
    _, keras = import_keras()

    class ObservationStatistics(keras.layers.Layer):  # type: ignore[misc, name-defined]
        def __init__(self, shape: tuple[int, ...], name: str) -> None:
            super().__init__(name=name, dtype="float32")
            self.shape = shape

        def build(self, shape: tuple[int, ...]) -> None:
            self.mean, self.deviation = (
                self.add_weight(shape=self.shape, initializer=first, name=name, trainable=False)
                for name, first in (("mean", "zeros"), ("deviation", "ones"))
            )

        def call(self, x: Tensor) -> Tensor:
            apart = (x - self.mean) / self.deviation
            return keras.ops.clip(apart, -MOST_DEVIATIONS, MOST_DEVIATIONS)

    return ObservationStatistics
