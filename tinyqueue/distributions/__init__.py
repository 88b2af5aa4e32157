"""Distributions of actions: one file per family, and their product.

Every formula is written once against an array module ``xp`` that the caller passes: ``numpy`` on
players, ``keras.ops`` in training. Samples are drawn with NumPy. Families work element by element;
:mod:`tinyqueue.distributions.factored` arranges network outputs and sums over elements.
"""

from tinyqueue.distributions.arrays import ArrayModule, Tensor
from tinyqueue.distributions.factored import POLICY_OUTPUTS, BoxFamily, Factored, Parameter

__all__ = ["POLICY_OUTPUTS", "ArrayModule", "BoxFamily", "Factored", "Parameter", "Tensor"]
