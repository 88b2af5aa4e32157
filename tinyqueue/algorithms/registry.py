"""Every algorithm by name. Importing it brings no TensorFlow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tinyqueue.algorithms.base import Algorithm
from tinyqueue.algorithms.impala import Impala
from tinyqueue.algorithms.impala_config import A3cConfig, ImpalaConfig
from tinyqueue.data.spaces import Space
from tinyqueue.models.network import Network, Output


@dataclass(frozen=True)
class AlgorithmEntry:
    """An algorithm that an experiment can name.

    Attributes:
        config: Its frozen config dataclass.
        outputs: ``(actions, config)`` → the network's outputs by name.
        make: ``(config, network, actions)`` → the algorithm.
    """

    config: type[Any]
    outputs: Callable[[Space, Any], dict[str, Output]]
    make: Callable[[Any, Network, Space], Algorithm]


ALGORITHMS: Mapping[str, AlgorithmEntry] = {
    "impala": AlgorithmEntry(ImpalaConfig, Impala.outputs, Impala),
    "a3c": AlgorithmEntry(A3cConfig, Impala.outputs, Impala),
}
