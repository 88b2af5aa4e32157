"""The deep residual network of IMPALA (Espeholt et al., 2018, arXiv:1802.01561, fig. 3, right).

Three sections of 16, 32 and 32 filters: a 3×3 convolution, 3×3/2 max pooling, and two residual
blocks of ReLU, 3×3, ReLU, 3×3; then ReLU, a dense layer of 256, ReLU. Convolution kernels are
initialised as in Sonnet: a normal distribution of variance 1/inputs, truncated at two standard
deviations.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tinyqueue.data.spaces import Space
from tinyqueue.distributions.arrays import Tensor
from tinyqueue.models.frame_convolution import frame_convolution
from tinyqueue.models.image_leaves import ImageLayout
from tinyqueue.models.images import ImageConfig, image_network
from tinyqueue.models.keras_import import Initializer, import_keras
from tinyqueue.models.layers import Layers
from tinyqueue.models.network import Network, Output

SECTIONS = (16, 32, 32)
"""Filters per section."""
BLOCKS = 2
"""Residual blocks per section."""


@dataclass(frozen=True)
class ImpalaNetworkConfig(ImageConfig):
    """``impala``: learns Atari in fewer env steps than ``nature``, at a higher cost.

    It has six times the multiplications; ONNX Runtime takes fifteen times as long (measured).
    """


def build(
    observations: Space,
    actions: Space,
    outputs: Mapping[str, Output],
    config: ImpalaNetworkConfig,
    seed: int,
) -> Network:
    """Builds the network; see :func:`tinyqueue.models.images.image_network`."""
    return image_network(observations, actions, outputs, config, seed, convolve)


def convolve(layers: Layers, layout: ImageLayout, frames: Tensor) -> Tensor:
    """``[N, k, H, W, …]`` → ``[N, h, w, 32]``: the three sections, for images of any size."""
    _, keras = import_keras()
    x = frames
    for index, filters in enumerate(SECTIONS):
        name = f"section_{index}"
        x = _first(layers, layout, x) if index == 0 else _convolution(layers, name, filters, x)
        x = keras.layers.MaxPooling2D(3, 2, padding="same", dtype=layers.policy)(x)
        for block in range(BLOCKS):
            first, second = f"{name}_block_{block}_0", f"{name}_block_{block}_1"
            inside = _convolution(
                layers, first, filters, layers.activated(f"{first}_before", x, "relu")
            )
            inside = layers.activated(first, inside, "relu")
            x = x + _convolution(layers, second, filters, inside)
    return layers.activated("sections", x, "relu")


def _first(layers: Layers, layout: ImageLayout, frames: Tensor) -> Tensor:
    return frame_convolution()(
        SECTIONS[0],
        3,
        1,
        padding="same",
        initializer=_initializer(layers),
        scale=layout.scale,
        dtype=layers.policy,
        name=layers.named("section_0"),
    )(frames)


def _convolution(layers: Layers, name: str, filters: int, x: Tensor) -> Tensor:
    _, keras = import_keras()
    return keras.layers.Conv2D(
        filters,
        3,
        padding="same",
        kernel_initializer=_initializer(layers),
        dtype=layers.policy,
        name=layers.named(name),
    )(x)


def _initializer(layers: Layers) -> Initializer:
    _, keras = import_keras()
    return keras.initializers.LecunNormal(seed=layers.next_seed())
