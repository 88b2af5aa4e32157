"""What image networks share: convolutions over frames, a dense layer, a memory, heads."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tinyqueue.data.spaces import Space
from tinyqueue.distributions.arrays import Tensor
from tinyqueue.errors import ConfigError
from tinyqueue.models.frame_convolution import frame_convolution
from tinyqueue.models.image_leaves import Channels, ImageLayout, frames_of, image_layout
from tinyqueue.models.inputs import observation_inputs, previous_features, previous_inputs
from tinyqueue.models.keras_import import import_keras
from tinyqueue.models.layers import Layers, Width
from tinyqueue.models.memory import MemoryConfig, with_core
from tinyqueue.models.network import Network, Output
from tinyqueue.models.precision import Precision, dtype_policy


@dataclass(frozen=True)
class ImageConfig(MemoryConfig):
    """Settings of every image network."""

    core_units: Width = 256
    """Units of the cell. IMPALA (Espeholt et al., 2018): an LSTM of 256; R2D2: 512."""
    dense: Width = 256
    """Units of the layer after the convolutions; of each stream if an output is dueling."""
    channels: Channels = "last"
    """Where an image of three axes has its channels: ``[H, W, c]`` (last), ``[c, H, W]`` (first),
    or as its shape suggests (auto)."""
    layer_norm: bool = False
    """LayerNorm in every layer before the heads, over channels or units, before its ReLU. PQN
    (Gallici et al., 2024) needs it."""
    precision: Precision = "auto"
    """Precision of the layers before the heads in training: bfloat16 with float32 variables, which
    ``auto`` uses if the processor can multiply bfloat16. Players always use float32."""


@dataclass(frozen=True)
class Convolution:
    """Filters of ``size`` × ``size`` pixels, ``stride`` apart, without padding."""

    filters: int
    size: int
    stride: int


Convolve = Callable[[Layers, ImageLayout, Tensor], Tensor]
"""``(layers, layout, frames [N, k, H, W, …])`` → features ``[N, h, w, c]``."""


def image_network(
    observations: Space,
    actions: Space,
    outputs: Mapping[str, Output],
    config: ImageConfig,
    seed: int,
    convolve: Convolve,
) -> Network:
    """One torso for all outputs: convolutions, then a dense layer.

    The previous action and reward join them where the config asks for it.

    Without a core, the streams of a dueling output start at the convolutions, as in the paper.

    Args:
        observations: One image.
        actions: The action space, for the previous action.
        outputs: The outputs, by name.
        config: Sizes and memory.
        seed: Seed of the initial weights.
        convolve: Builds the convolutions.

    Raises:
        ConfigError: The observation is not exactly one image, or is too small.
    """
    _, keras = import_keras()
    ((path, leaf),) = _image(observations).items()
    inputs = observation_inputs(observations)
    layers = Layers(seed, "relu", dtype_policy(config.precision), layer_norm=config.layer_norm)
    layout = image_layout(leaf, config.channels)
    features = convolve(layers, layout, frames_of(inputs[path], layout))
    features = keras.layers.Reshape((math.prod(features.shape[1:]),))(features)
    before = []
    if config.previous:
        inputs |= previous_inputs(actions)
        before = previous_features(inputs, actions)

    def joined(x: Tensor) -> Tensor:
        return keras.layers.Concatenate(axis=-1)([x, *before]) if before else x

    if config.core != "none":
        seen = joined(layers.hidden("dense", config.dense, features))
        return with_core(inputs, seen, observations, outputs, layers, config, seed)
    results = {}
    if any(not output.dueling for output in outputs.values()):
        torso = joined(layers.hidden("dense", config.dense, features))
    for name, output in outputs.items():
        behind = joined(features) if output.dueling else torso
        results[name] = layers.head(name, output, behind, config.dense)
    return Network(keras.Model(inputs, results), observations)


def convolutions(parts: Sequence[Convolution]) -> Convolve:
    """Convolutions in sequence, each with a ReLU; kernels are orthogonal with gain √2.

    The function that it returns raises ConfigError for an image that is too small.
    """

    def convolve(layers: Layers, layout: ImageLayout, frames: Tensor) -> Tensor:
        _, keras = import_keras()
        _require_size(layout, parts)
        first, *rest = parts
        x = frame_convolution()(
            first.filters,
            first.size,
            first.stride,
            padding="valid",
            initializer=layers.orthogonal(math.sqrt(2)),
            scale=layout.scale,
            dtype=layers.policy,
            name=layers.named("convolution_0"),
        )(frames)
        x = layers.activated("convolution_0", x, "relu")
        for index, part in enumerate(rest, 1):
            x = keras.layers.Conv2D(
                part.filters,
                part.size,
                part.stride,
                kernel_initializer=layers.orthogonal(math.sqrt(2)),
                dtype=layers.policy,
                name=layers.named(f"convolution_{index}"),
            )(x)
            x = layers.activated(f"convolution_{index}", x, "relu")
        return x

    return convolve


def _image(observations: Space) -> Space:
    """The space, if it is one image; raises ConfigError otherwise."""
    leaves = list(observations.values())
    frame = leaves[0].frame
    if len(leaves) == 1 and not frame.is_discrete and len(frame.shape) in (2, 3):
        return observations
    given = ", ".join(
        f"{path or 'one array'} of {leaf.frame.dtype} {list(leaf.frame.shape)}"
        for path, leaf in observations.items()
    )
    raise ConfigError(
        "this model sees one image, [height, width], [height, width, channels] or [channels, "
        f"height, width], and the environment gives {given}. Set model.name = 'multi-input', which "
        "sees any observation, or 'mlp'."
    )


def _require_size(layout: ImageLayout, parts: Sequence[Convolution]) -> None:
    """Raises ConfigError when an image has fewer pixels than the convolutions need."""
    least = 1
    for part in reversed(parts):
        least = (least - 1) * part.stride + part.size
    height, width = layout.height, layout.width
    if min(height, width) < least:
        raise ConfigError(
            f"the convolutions of this model need images of {least} × {least} pixels or more, and "
            f"the environment's are {height} × {width}. Choose a model with smaller convolutions, "
            "or model.name = 'multi-input', which chooses them by the image's size."
        )
