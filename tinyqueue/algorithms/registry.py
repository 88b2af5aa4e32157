"""Every algorithm by name. Importing it brings no TensorFlow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tinyqueue.algorithms.base import Algorithm
from tinyqueue.algorithms.dqn import Dqn
from tinyqueue.algorithms.dqn_config import (
    ApexConfig,
    DoubleDqnConfig,
    DqnConfig,
    NStepQConfig,
    OneStepQConfig,
    RainbowLiteConfig,
)
from tinyqueue.algorithms.impala import Impala
from tinyqueue.algorithms.impala_config import A3cConfig, ImpalaConfig
from tinyqueue.algorithms.ppo import Ppo, require_divisor
from tinyqueue.algorithms.ppo_config import PpoConfig
from tinyqueue.algorithms.r2d2 import R2d2
from tinyqueue.algorithms.r2d2_config import R2d2Config
from tinyqueue.data.spaces import Space
from tinyqueue.models.network import Network, Output


@dataclass(frozen=True)
class AlgorithmEntry:
    """An algorithm that an experiment can name.

    Attributes:
        config: Its frozen config dataclass.
        outputs: ``(actions, config)`` → the network's outputs by name.
        make: ``(config, network, actions)`` → the algorithm.
        check: ``(config, slots)`` raises ConfigError when updates of so many slots do not suit it.
    """

    config: type[Any]
    outputs: Callable[[Space, Any], dict[str, Output]]
    make: Callable[[Any, Network, Space], Algorithm]
    check: Callable[[Any, int], None] = lambda config, slots: None


ALGORITHMS: Mapping[str, AlgorithmEntry] = {
    "impala": AlgorithmEntry(ImpalaConfig, Impala.outputs, Impala),
    "a3c": AlgorithmEntry(A3cConfig, Impala.outputs, Impala),
    "ppo": AlgorithmEntry(
        PpoConfig,
        Ppo.outputs,
        Ppo,
        check=lambda config, slots: require_divisor(slots, config.minibatches),
    ),
    "dqn": AlgorithmEntry(DqnConfig, Dqn.outputs, Dqn),
    "double-dqn": AlgorithmEntry(DoubleDqnConfig, Dqn.outputs, Dqn),
    "rainbow-lite": AlgorithmEntry(RainbowLiteConfig, Dqn.outputs, Dqn),
    "apex": AlgorithmEntry(ApexConfig, Dqn.outputs, Dqn),
    "q-1step": AlgorithmEntry(OneStepQConfig, Dqn.outputs, Dqn),
    "q-nstep": AlgorithmEntry(NStepQConfig, Dqn.outputs, Dqn),
    "r2d2": AlgorithmEntry(R2d2Config, R2d2.outputs, R2d2),
}
