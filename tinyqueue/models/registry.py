"""Every model by name. Importing it brings no TensorFlow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tinyqueue.models import mlp


@dataclass(frozen=True)
class ModelEntry:
    """A model that an experiment can name.

    Attributes:
        config: Its frozen config dataclass.
        build: ``(observations, outputs, config, seed) → keras.Model`` with a dict of inputs
            by observation path and a dict of outputs by name.
    """

    config: type[Any]
    build: Callable[..., Any]


MODELS: Mapping[str, ModelEntry] = {"mlp": ModelEntry(mlp.MlpConfig, mlp.build)}
