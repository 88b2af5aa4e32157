"""Type names for formulas: arrays of either library, and the module that computes with them.

NumPy and Keras share no static types, so both names are ``Any``; they tell the reader what is
meant.
"""

from __future__ import annotations

from typing import Any, TypeAlias

ArrayModule: TypeAlias = Any
"""``numpy`` or ``keras.ops``."""
Tensor: TypeAlias = Any
"""A NumPy array, or a tensor of Keras or TensorFlow."""
