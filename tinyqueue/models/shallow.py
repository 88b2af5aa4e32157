"""The small network of A3C for Atari (Mnih et al., 2016, arXiv:1602.01783, §8), taken from DQN's
first paper; IMPALA calls it shallow.

Two convolutions of 16 filters 8×8/4 and 32 of 4×4/2, and a dense layer of 256, each with a ReLU.
Initial weights are orthogonal.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from tinyqueue.models.images import Convolution, ImageConfig, convolutions, image_network

CONVOLUTIONS = (Convolution(16, 8, 4), Convolution(32, 4, 2))


@dataclass(frozen=True)
class ShallowConfig(ImageConfig):
    """``shallow``: takes half the time of ``nature``, in training and in play (measured)."""


build = partial(image_network, convolve=convolutions(CONVOLUTIONS))
"""Builds the network; see :func:`tinyqueue.models.images.image_network`."""
