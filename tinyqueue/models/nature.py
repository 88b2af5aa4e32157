"""The network of DQN for Atari (Mnih et al., 2015, doi:10.1038/nature14236).

Three convolutions of 32 filters 8×8/4, 64 of 4×4/2 and 64 of 3×3/1, and a dense layer of 512,
each with a ReLU. Initial weights are orthogonal, not Torch's uniform ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from tinyqueue.models.images import Convolution, ImageConfig, convolutions, image_network
from tinyqueue.models.layers import Width

CONVOLUTIONS = (Convolution(32, 8, 4), Convolution(64, 4, 2), Convolution(64, 3, 1))


@dataclass(frozen=True)
class NatureConfig(ImageConfig):
    """``nature``: the usual network for Atari."""

    dense: Width = 512
    """Units after the convolutions; of each stream if an output is dueling. DQN: 512."""


build = partial(image_network, convolve=convolutions(CONVOLUTIONS))
"""Builds the network; see :func:`tinyqueue.models.images.image_network`."""
