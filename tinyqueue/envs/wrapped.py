"""Applying the wrappers of an experiment: ``environment.wrappers``.

Their names can come from the network, as environment ids do, so a name never decides what is
imported: a wrapper's module must be on this machine's own list, as the modules that register
environments are. Gymnasium's wrappers need no entry there, but only those in :data:`GYMNASIUMS`
are applied, whatever module their name is looked up in.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np

from tinyqueue.envs.faults import failed, is_environments, user_place, words
from tinyqueue.envs.names import allowed_modules
from tinyqueue.errors import ConfigError, UnknownNameError
from tinyqueue.experiment.wrappers import WrapperConfig

WRAPPERS = "gymnasium.wrappers"

GYMNASIUMS = (
    "AddRenderObservation",
    "AddWhiteNoise",
    "AtariPreprocessing",
    "ClipAction",
    "ClipReward",
    "DelayObservation",
    "DiscretizeAction",
    "DiscretizeObservation",
    "DtypeObservation",
    "FilterObservation",
    "FlattenObservation",
    "FrameStackObservation",
    "GrayscaleObservation",
    "MaxAndSkipObservation",
    "NormalizeObservation",
    "NormalizeReward",
    "ObstructView",
    "OrderEnforcing",
    "PassiveEnvChecker",
    "RecordEpisodeStatistics",
    "RepeatAction",
    "RescaleAction",
    "RescaleObservation",
    "ReshapeObservation",
    "ResizeObservation",
    "StickyAction",
    "TimeAwareObservation",
    "TimeLimit",
)
"""Gymnasium's wrappers that take plain arguments and touch neither files nor screens."""

_FUNCTION = (
    "it takes a function, which cannot be written as data: write a wrapper class of your own"
)
_REFUSED = {
    "Autoreset": "tinyqueue resets environments itself",
    "HumanRendering": "it opens a window; films are made with `tinyqueue record`",
    "RecordVideo": "it writes files; films are made with `tinyqueue record`",
    "RenderCollection": "it keeps every frame in memory; films are made with `tinyqueue record`",
    "TransformAction": _FUNCTION,
    "TransformObservation": _FUNCTION,
    "TransformReward": _FUNCTION,
}
# Wrapper of Gymnasium → why it is not applied.

_VIEWS = (gymnasium.ObservationWrapper, gymnasium.ActionWrapper)
# These hand rewards through.


def find_wrapper(config: WrapperConfig) -> type[gymnasium.Wrapper[Any, Any, Any, Any]]:
    """The class of a wrapper.

    Raises:
        ConfigError: Its module is not allowed on this machine, it is no subclass of
            ``gymnasium.Wrapper``, or it is one of Gymnasium's that is not applied.
        UnknownNameError: The module has no class of that name; the text suggests the nearest.
    """
    allowed = allowed_modules()
    if config.module not in allowed and config.module != WRAPPERS:
        raise ConfigError(
            f"the wrapper {config.wrapper} is in a module that this machine does not allow. "
            "Wherever the environment is played, trained or evaluated, set "
            f"TINYQUEUE_ENVIRONMENT_MODULES={','.join((*allowed, config.module))}."
        )
    if config.module == WRAPPERS:
        # Gymnasium imports a wrapper's own module only when it is asked for by name.
        _require_applicable(config.class_name)
        found = getattr(importlib.import_module(WRAPPERS), config.class_name)
    else:
        found = getattr(sys.modules[config.module], config.class_name, None)
    if found is None:
        raise UnknownNameError("wrapper", config.wrapper, _wrappers_in(config.module))
    if not inspect.isclass(found) or not issubclass(found, gymnasium.Wrapper):
        raise ConfigError(
            f"{config.wrapper} is not a wrapper: it must be a class derived from "
            "gymnasium.Wrapper, such as gymnasium.RewardWrapper."
        )
    if _is_gymnasiums(found):
        _require_applicable(found.__name__)
    elif found.__module__.partition(".")[0] != config.module.partition(".")[0]:
        # A module that is allowed may import wrappers of others, for its own use.
        raise ConfigError(
            f"{config.wrapper} is {found.__module__}.{found.__qualname__}, which is not of that "
            f"module's package. To use it, name its own module: {found.__module__}:"
            f"{found.__name__}, and allow that in TINYQUEUE_ENVIRONMENT_MODULES."
        )
    return found


def apply_wrappers(
    environment: gymnasium.Env[Any, Any], configs: Sequence[WrapperConfig], environment_id: str
) -> gymnasium.Env[Any, Any]:
    """The environment within its wrappers, the first one innermost.

    Args:
        environment: Closed if a wrapper cannot be applied.
        configs: The wrappers.
        environment_id: Id of the environment, for errors.

    Raises:
        ConfigError: As :func:`find_wrapper`, or a wrapper's arguments are wrong.
        EnvironmentFailedError: A wrapper without arguments raises in its constructor.
    """
    wrapped = environment
    try:
        for place, config in enumerate(configs):
            wrapped = _applied(wrapped, config, f"environment.wrappers[{place}]", environment_id)
    except BaseException:
        wrapped.close()
        raise
    return wrapped


def may_change_rewards(configs: Sequence[WrapperConfig]) -> bool:
    """Whether a wrapper is not known to hand rewards through unchanged.

    Raises:
        ConfigError: As :func:`find_wrapper`.
    """
    return not all(issubclass(find_wrapper(config), _VIEWS) for config in configs)


def _applied(
    environment: gymnasium.Env[Any, Any], config: WrapperConfig, where: str, environment_id: str
) -> gymnasium.Env[Any, Any]:
    wrapper = find_wrapper(config)
    try:
        return wrapper(environment, **_arguments(wrapper, config))
    except (TypeError, ValueError, AssertionError, ImportError, gymnasium.error.Error) as error:
        place = user_place(error.__traceback__)
        given = f" with {config.arguments}" if config.arguments else ""
        said = words(error)
        raise ConfigError(
            f"the wrapper {config.wrapper} ({where}) cannot be put around {environment_id}{given}: "
            f"{type(error).__name__}{f': {said}' if said else ''}"
            f"{f' (at {place})' if place else ''}. Correct its arguments, or the wrapper."
        ) from error
    except BaseException as error:
        if not is_environments(error):
            raise
        doing = f"the constructor of the wrapper {config.wrapper}"
        raise failed(error, environment_id, doing) from error


def _arguments(wrapper: type[Any], config: WrapperConfig) -> dict[str, Any]:
    """The arguments; for Gymnasium's wrappers, lists as the tuples and arrays that these take."""
    if not _is_gymnasiums(wrapper):
        return dict(config.arguments)
    return {key: _as_gymnasium_has_it(key, value) for key, value in config.arguments.items()}


def _as_gymnasium_has_it(key: str, value: object) -> object:
    if not isinstance(value, list):
        return value
    return np.array(value, np.float32) if key.startswith(("min_", "max_")) else tuple(value)


def _is_gymnasiums(wrapper: type[Any]) -> bool:
    return wrapper.__module__.partition(".")[0] == "gymnasium"


def _require_applicable(name: str) -> None:
    if name in GYMNASIUMS:
        return
    if name in _REFUSED:
        raise ConfigError(f"Gymnasium's wrapper {name} is not applied: {_REFUSED[name]}.")
    raise UnknownNameError("wrapper", f"{WRAPPERS}:{name}", [f"{WRAPPERS}:{n}" for n in GYMNASIUMS])


def _wrappers_in(module: str) -> list[str]:
    return [
        f"{module}:{name}"
        for name, value in vars(sys.modules[module]).items()
        if inspect.isclass(value) and issubclass(value, gymnasium.Wrapper)
    ]
