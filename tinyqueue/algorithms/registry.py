"""Every algorithm by name. Importing it brings no TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tinyqueue.algorithms.base import Algorithm
from tinyqueue.algorithms.dqn import Apex, DoubleDqn, Dqn, NStepQ, OneStepQ, RainbowLite
from tinyqueue.algorithms.impala import A3c, Impala
from tinyqueue.algorithms.ppo import Ppo
from tinyqueue.algorithms.r2d2 import R2d2
from tinyqueue.errors import UnknownNameError

ALGORITHMS: Mapping[str, type[Algorithm[Any, Any]]] = {
    "impala": Impala,
    "a3c": A3c,
    "ppo": Ppo,
    "dqn": Dqn,
    "double-dqn": DoubleDqn,
    "rainbow-lite": RainbowLite,
    "apex": Apex,
    "q-1step": OneStepQ,
    "q-nstep": NStepQ,
    "r2d2": R2d2,
}
"""Those that come with tinyqueue."""


def find(name: str) -> type[Algorithm[Any, Any]]:
    """The algorithm that an experiment names.

    Raises:
        UnknownNameError: There is none of this name.
    """
    if name not in ALGORITHMS:
        raise UnknownNameError("algorithm", name, ALGORITHMS)
    return ALGORITHMS[name]
