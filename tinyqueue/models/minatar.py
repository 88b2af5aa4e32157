"""The network of MinAtar's authors for their games of 10 × 10 cells (Young & Tian, 2019,
arXiv:1903.03176).

One convolution of 16 filters 3×3/1 and a dense layer of 128, each with a ReLU, as in their DQN.
Their actor-critic uses SiLU and its derivative instead. Initial weights are orthogonal.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from tinyqueue.models.images import Convolution, ImageConfig, convolutions, image_network
from tinyqueue.models.layers import Width

CONVOLUTIONS = (Convolution(16, 3, 1),)


@dataclass(frozen=True)
class MinatarConfig(ImageConfig):
    """``minatar``: for small images whose channels say what is in a cell."""

    dense: Width = 128
    """Units after the convolution; of each stream if an output is dueling."""


build = partial(image_network, convolve=convolutions(CONVOLUTIONS))
"""Builds the network; see :func:`tinyqueue.models.images.image_network`."""
