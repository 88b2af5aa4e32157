"""The network of MinAtar's authors for its games of 10 × 10 cells (Young & Tian, 2019,
arXiv:1903.03176).

One convolution of 16 filters 3×3/1 and a dense layer of 128, each with a ReLU, as in their DQN.
Their actor-critic has SiLU and its derivative there. Initial weights are orthogonal.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from tinyqueue.models.images import Convolution, ImageConfig, convolutions, image_network
from tinyqueue.models.layers import Width

CONVOLUTIONS = (Convolution(16, 3, 1),)


@dataclass(frozen=True)
class MinatarConfig(ImageConfig):
    """``minatar``: for small pictures, whose channels say what is in a cell."""

    dense: Width = 128
    """Units behind the convolution; of each stream where an output is dueling."""


build = partial(image_network, convolve=convolutions(CONVOLUTIONS))
"""The network, as :func:`tinyqueue.models.images.image_network` says."""
