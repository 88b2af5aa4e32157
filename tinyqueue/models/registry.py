"""Every model by name. Importing it brings no TensorFlow."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import FunctionType
from typing import Any, TypeAlias

from tinyqueue.data.seeds import seed32
from tinyqueue.data.spaces import Space
from tinyqueue.errors import ConfigError
from tinyqueue.experiment.brought import brought
from tinyqueue.experiment.config_class import require_config
from tinyqueue.models import impala, minatar, mlp, multi_input, nature, shallow
from tinyqueue.models.network import Network, Output
from tinyqueue.models.observation_statistics import (
    statistics_of,
    with_statistics,
    without_bounds,
)

Build: TypeAlias = Callable[[Space, Space, Mapping[str, Output], Any, int], Network]
"""``(observations, actions, outputs, config, seed)`` → the network, with outputs by name."""


@dataclass(frozen=True)
class ModelEntry:
    """A model that an experiment can name.

    Attributes:
        config: Its frozen config dataclass.
        build: Makes the network.
    """

    config: type[Any]
    build: Build


MODELS: Mapping[str, ModelEntry] = {
    "mlp": ModelEntry(mlp.MlpConfig, mlp.build),
    "nature": ModelEntry(nature.NatureConfig, nature.build),
    "shallow": ModelEntry(shallow.ShallowConfig, shallow.build),
    "minatar": ModelEntry(minatar.MinatarConfig, minatar.build),
    "impala": ModelEntry(impala.ImpalaNetworkConfig, impala.build),
    "multi-input": ModelEntry(multi_input.MultiInputConfig, multi_input.build),
}
"""Those that come with tinyqueue."""


def build_network(
    entry: ModelEntry,
    observations: Space,
    actions: Space,
    outputs: Mapping[str, Output],
    config: Any,
    seed: int,
    *,
    normalises: bool = False,
) -> Network:
    """The network of a model, which can also build others of that model.

    Args:
        entry: The model.
        observations, actions: The spaces of the environment.
        outputs: The outputs, by name.
        config: The model's config.
        seed: Seed of the initial weights.
        normalises: Whether it sees observations normalised by running statistics.
    """
    layers = statistics_of(observations) if normalises else {}

    def built(observations: Space, outputs: Mapping[str, Output], seed: int) -> Network:
        seen = without_bounds(observations, layers)
        network = entry.build(seen, actions, outputs, config, seed)
        return with_statistics(network, layers, observations)

    def another(observations: Space, outputs: Mapping[str, Output], number: int) -> Network:
        return built(observations, outputs, seed32(seed, _ANOTHER, number))

    network = built(observations, outputs, seed)
    network.another = another
    network.seed = seed
    return network


_ANOTHER = 1
# Purpose of the seeds of further networks.
_SIGNATURE = "(observations, actions, outputs, config, seed)"


def find(name: str) -> ModelEntry:
    """The model that an experiment names.

    One of :data:`MODELS`, ``path/to/file.py:name``, or an entry point of the group
    ``tinyqueue.models``.

    Raises:
        UnknownNameError: There is none of this name.
        ConfigError: It does not import, or is no model.
    """
    if name in MODELS:
        return MODELS[name]
    return entry_of(*brought("model", name, MODELS))


def entry_of(found: object, where: str) -> ModelEntry:
    """The entry of a model that a user brought.

    A function like :data:`Build` whose ``config`` is annotated with its dataclass, or a
    :class:`ModelEntry`.

    Args:
        found: What was loaded.
        where: Where it is from, for errors.

    Raises:
        ConfigError: It is no model; the text says what is missing.
    """
    entry = found if isinstance(found, ModelEntry) else _of_function(found, where)
    require_config(entry.config, where)
    return ModelEntry(entry.config, _says_all(entry.build, where))


def _of_function(found: object, where: str) -> ModelEntry:
    parameters = inspect.signature(found).parameters if isinstance(found, FunctionType) else {}
    if not isinstance(found, FunctionType) or len(parameters) != len(_SIGNATURE.split(",")):
        raise ConfigError(f"{where} is not a model: it must be a function of {_SIGNATURE}.")
    config = list(parameters.values())[3].annotation
    if isinstance(config, str):
        config = _annotated(config, found, where)
    if config is inspect.Parameter.empty:
        raise ConfigError(
            f"{where}: annotate its fourth parameter with the model's config dataclass."
        )
    return ModelEntry(config, found)


def _annotated(config: str, found: FunctionType, where: str) -> object:
    try:
        return eval(config, found.__globals__)
    except NameError:
        raise ConfigError(
            f"{where}: its config is annotated with {config!r}, which the file does not define."
        ) from None
    except Exception as error:  # An annotation is any expression of the user's.
        code = found.__code__
        raise ConfigError(
            f"{where}: its config is annotated with {config!r}, which is not defined "
            f"({type(error).__name__}: {error}); {code.co_filename}, line {code.co_firstlineno}."
        ) from None


def _says_all(build: Build, where: str) -> Build:
    def built(
        observations: Space, actions: Space, outputs: Mapping[str, Output], config: Any, seed: int
    ) -> Network:
        network: object = build(observations, actions, outputs, config, seed)
        if not isinstance(network, Network):
            raise ConfigError(
                f"{where} returned a {type(network).__name__}; it must return a "
                "tinyqueue.models.network.Network."
            )
        lacks = sorted(set(outputs) - set(network.step.output))
        if lacks:
            raise ConfigError(f"{where} built a network without the output {', '.join(lacks)}.")
        return network

    return built
