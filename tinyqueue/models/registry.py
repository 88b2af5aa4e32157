"""Every model by name. Importing it brings no TensorFlow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tinyqueue.data.spaces import Space
from tinyqueue.models import impala, minatar, mlp, nature, shallow
from tinyqueue.models.network import Network, Output


@dataclass(frozen=True)
class ModelEntry:
    """A model that an experiment can name.

    Attributes:
        config: Its frozen config dataclass.
        build: ``(observations, actions, outputs, config, seed)`` → the network, with outputs
            by name.
    """

    config: type[Any]
    build: Callable[[Space, Space, Mapping[str, Output], Any, int], Network]


MODELS: Mapping[str, ModelEntry] = {
    "mlp": ModelEntry(mlp.MlpConfig, mlp.build),
    "nature": ModelEntry(nature.NatureConfig, nature.build),
    "shallow": ModelEntry(shallow.ShallowConfig, shallow.build),
    "minatar": ModelEntry(minatar.MinatarConfig, minatar.build),
    "impala": ModelEntry(impala.ImpalaNetworkConfig, impala.build),
}
