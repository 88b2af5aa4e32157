"""Which environments an id may name, and which modules may be imported to find them.

An id can come from the network, so it never decides what is imported: the modules are this
machine's own allow-list, and the namespaces below are those that tinyqueue itself knows.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable, Mapping

import gymnasium
from gymnasium.envs.registration import EnvSpec, get_env_id, parse_env_id

from tinyqueue.envs.old_names import refuse_old_atari
from tinyqueue.errors import ConfigError, MissingExtraError, UnknownNameError

ENVIRONMENT_ID = re.compile(r"(?:[A-Za-z0-9][A-Za-z0-9_-]{0,63}/)?[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
"""``[namespace/]name[-v<version>]``. No colon: Gymnasium would import what stands before it."""

_NAMESPACES: Mapping[str, tuple[str, str]] = {"ALE": ("ale_py", "atari")}
# Namespace → the module that registers it, and the extra that brings the module.

MINATAR_NAMESPACE = "MinAtar"


def import_allowed(modules: Iterable[str]) -> None:
    """Imports the modules that register environments on this machine.

    Raises:
        ConfigError: One of them cannot be imported.
    """
    for module in modules:
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise ConfigError(
                f"the environment module {module!r} cannot be imported ({error}). Install it here, "
                "or take it out of TINYQUEUE_ENVIRONMENT_MODULES."
            ) from error


def find_environment(environment_id: str) -> EnvSpec:
    """The registered environment of exactly this id.

    Raises:
        ConfigError: The id has a form that is not allowed, or is an old one of an Atari game; or
            MinAtar is not installed.
        UnknownNameError: Nothing is registered under it; the text suggests its newest version,
            else the nearest id.
        MissingExtraError: The package that registers its namespace is not installed.
    """
    if not ENVIRONMENT_ID.fullmatch(environment_id):
        raise ConfigError(
            f"{environment_id!r} is not an environment id: write [namespace/]name-v<version>, such "
            "as CartPole-v1 or ALE/Pong-v5. Modules to import are listed in "
            "TINYQUEUE_ENVIRONMENT_MODULES, never in the id."
        )
    refuse_old_atari(environment_id)
    namespace = environment_id.rpartition("/")[0]
    if namespace in _NAMESPACES:
        module, extra = _NAMESPACES[namespace]
        try:
            importlib.import_module(module)
        except ModuleNotFoundError as error:
            raise MissingExtraError(extra, f"the environment {environment_id}") from error
    elif namespace == MINATAR_NAMESPACE:
        _register_minatar(environment_id)
    found = gymnasium.registry.get(environment_id)
    if found is None:
        raise UnknownNameError("environment", environment_id, _suggestions(environment_id))
    return found


def _register_minatar(environment_id: str) -> None:
    """Asks MinAtar to register its games: Gymnasium does not load what packages announce.

    No extra brings it, because its licence is the GPL.
    """
    if environment_id in gymnasium.registry:
        return
    try:
        games = importlib.import_module("minatar.gym")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "minatar":
            raise
        raise ConfigError(
            f"the environment {environment_id} needs the package minatar, which is not installed "
            "and comes with no extra of tinyqueue: its licence is GPL-3.0. Install it wherever "
            "learner and players run, with: pip install minatar"
        ) from error
    if not any(spec.namespace == MINATAR_NAMESPACE for spec in gymnasium.registry.values()):
        games.register_envs()


def _suggestions(environment_id: str) -> list[str]:
    """The newest version of the same environment, else every registered id."""
    namespace, name, _ = parse_env_id(environment_id)
    if namespace is None and f"ALE/{name}-v5" in gymnasium.registry:
        return [f"ALE/{name}-v5"]
    versions = [
        spec.version
        for spec in gymnasium.registry.values()
        if (spec.namespace, spec.name) == (namespace, name) and spec.version is not None
    ]
    if versions:
        return [get_env_id(namespace, name, max(versions))]
    return list(gymnasium.registry)
