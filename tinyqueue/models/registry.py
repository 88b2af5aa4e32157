"""Every model by name. Importing it brings no TensorFlow."""

from __future__ import annotations

import inspect
import math
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
_BY_PLACE = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_SIGNATURE = "(observations, actions, outputs, config, seed)"


def find(name: str, label: str = "") -> ModelEntry:
    """The model that an experiment names.

    One of :data:`MODELS`, ``path/to/file.py:name``, or an entry point of the group
    ``tinyqueue.models``.

    Args:
        name: The name.
        label: What to call it in errors; the name by default.

    Raises:
        UnknownNameError: There is none of this name.
        ConfigError: It does not import, or is no model.
    """
    if name in MODELS:
        return MODELS[name]
    found, where = brought("model", name, MODELS)
    return entry_of(found, label or where)


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
    wanted = f"{where} is not a model: it must be a function of {_SIGNATURE}"
    if not isinstance(found, FunctionType):
        raise ConfigError(f"{wanted}.")
    signature = inspect.signature(found)
    try:
        config = _fourth(signature).annotation
    except TypeError:
        raise ConfigError(f"{wanted}, and takes {signature}.") from None
    if isinstance(config, str):
        config = _annotated(config, found, where)
    if config is inspect.Parameter.empty:
        raise ConfigError(
            f"{where}: annotate its fourth parameter with the model's config dataclass."
        )
    return ModelEntry(config, found)


def _fourth(signature: inspect.Signature) -> inspect.Parameter:
    """Raises TypeError if a function of this signature cannot be called as models are."""
    count = len(_SIGNATURE.split(","))
    signature.bind(*[None] * count)
    taken = [each for each in signature.parameters.values() if each.kind in _BY_PLACE]
    if len(taken) < count:
        raise TypeError
    return taken[3]


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
        for name, output in outputs.items():
            # A value of size 1 may come without an axis.
            size = math.prod(network.step.output[name].shape[1:])
            if size != output.size:
                raise ConfigError(
                    f"{where} built a network whose output {name} has {size:,} numbers a row; "
                    f"{output.size:,} are wanted, which is outputs[{name!r}].size."
                )
        return network

    return built
