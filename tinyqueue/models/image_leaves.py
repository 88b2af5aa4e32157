"""Which leaves of an observation are images, and how their pixels are laid out.

Nothing declares it: a Gymnasium Box has a shape, a type and bounds. These rules decide, and
``model.channels`` overrides them where a shape can be read in two ways.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from tinyqueue.data.spaces import Leaf, Space
from tinyqueue.distributions.arrays import Tensor
from tinyqueue.models.keras_import import import_keras

Channels = Literal["auto", "first", "last"]
"""Where an image has its channels: ``[c, H, W]``, ``[H, W, c]``, or as its shape suggests."""

LEAST_SIDE = 3
"""Pixels on the shorter side of an image: the smallest convolution has 3 × 3 of them."""
_BYTE = 255.0
_MOST_SCALED = 65_535.0
# A larger bound, such as that of 32-bit integers, says nothing about the pixels.


@dataclass(frozen=True)
class ImageLayout:
    """How a leaf is read as an image.

    Attributes:
        leaf: The leaf with its channels last: ``[H, W]`` or ``[H, W, c]``, behind a stack's axis.
        channels_first: Whether the environment gives ``[c, H, W]``.
        scale: Factor that brings pixels to 0 … 1, or to −1 … 1 where they may be negative.
    """

    leaf: Leaf
    channels_first: bool
    scale: float

    @property
    def height(self) -> int:
        """Pixels from top to bottom."""
        return self.leaf.frame.shape[0]

    @property
    def width(self) -> int:
        """Pixels from left to right."""
        return self.leaf.frame.shape[1]


def is_image(leaf: Leaf, channels: Channels = "auto") -> bool:
    """Whether a leaf is taken for an image: numbers, at least 3 × 3 of them in a plane.

    Three axes of any numeric type are height, width and channels. Two axes are an image of one
    channel only if they hold bools, or bytes from 0 to 255: other tables of numbers are not
    pictures. Discrete leaves are never images.
    """
    frame = leaf.frame
    if frame.is_discrete or len(frame.shape) not in (2, 3):
        return False
    if len(frame.shape) == 2 and not _holds_pixels(frame):
        return False
    layout = image_layout(leaf, channels)
    return min(layout.height, layout.width) >= LEAST_SIDE


def has_image(space: Space) -> bool:
    """Whether any leaf of a space is taken for an image."""
    return any(is_image(leaf) for leaf in space.values())


def image_layout(leaf: Leaf, channels: Channels = "auto") -> ImageLayout:
    """How a leaf with two or three axes is read as an image.

    With ``auto``, two equal sides are height and width, and the third is the channels; if all
    differ or all are equal, channels are first where the first axis is the shortest of the three.

    Args:
        leaf: Numbers, ``[H, W]``, ``[H, W, c]`` or ``[c, H, W]``, behind a stack's axis.
        channels: Where its channels are.
    """
    shape = leaf.frame.shape
    first = len(shape) == 3 and (channels == "first" or (channels == "auto" and _is_first(shape)))
    if first:
        lead = leaf.shape[:1] if leaf.stack > 1 else ()
        leaf = replace(leaf, shape=(*lead, *shape[1:], shape[0]))
    return ImageLayout(leaf, first, _scale(leaf))


def frames_of(tensor: Tensor, layout: ImageLayout) -> Tensor:
    """``[N, k, H, W]`` or ``[N, k, H, W, c]`` of a leaf as the environment gives it."""
    _, keras = import_keras()
    if layout.leaf.stack == 1:
        tensor = keras.ops.expand_dims(tensor, 1)
    return keras.ops.transpose(tensor, (0, 1, 3, 4, 2)) if layout.channels_first else tensor


def _holds_pixels(frame: Leaf) -> bool:
    is_byte = frame.dtype == "uint8" and (frame.low, frame.high) == (0.0, _BYTE)
    return frame.dtype == "bool" or is_byte


def _is_first(shape: tuple[int, ...]) -> bool:
    first, middle, last = shape
    if first == middle:
        return False
    return middle == last or first < min(middle, last)


def _scale(leaf: Leaf) -> float:
    low, high = leaf.low, leaf.high
    if low is None or high is None:
        return 1.0 / _BYTE if leaf.dtype == "uint8" else 1.0
    most = max(abs(low), abs(high))
    return 1.0 / most if 0.0 < most <= _MOST_SCALED else 1.0
