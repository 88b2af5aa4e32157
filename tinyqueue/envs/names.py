"""Which environments an id may name, and which modules may be imported to find them.

An id can come from the network, so it never decides what is imported: the modules come from this
machine's own allow-list, and the namespaces below are those that tinyqueue itself knows.
"""

from __future__ import annotations

import difflib
import importlib
import math
import os
import re
import shlex
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import gymnasium
from gymnasium.envs.registration import EnvSpec, get_env_id, load_env_creator, parse_env_id

from tinyqueue.envs.faults import is_environments, user_place
from tinyqueue.envs.installed_packages import modules_on_gymnasium
from tinyqueue.envs.known_packages import advice, known_package
from tinyqueue.envs.old_names import GAMES, game_of, refuse_old_atari
from tinyqueue.envs.reentry import importing
from tinyqueue.errors import ConfigError, MissingExtraError, UnknownNameError

ENVIRONMENT_ID = re.compile(r"(?:[A-Za-z0-9][A-Za-z0-9_-]{0,63}/)?[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
"""``[namespace/]name[-v<version>]``. No colon: Gymnasium would import what precedes it."""

_MODULE = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")

_NAMESPACES: Mapping[str, tuple[str, str]] = {"ALE": ("ale_py", "atari")}
# Namespace → the module that registers it, and the extra that installs the module.

FILMED_MODE = "rgb_array"
"""The render mode that gives images."""

MINATAR_NAMESPACE = "MinAtar"

_OWN = (
    "If it is your own, list the module that registers it in TINYQUEUE_ENVIRONMENT_MODULES, "
    "wherever it is played, trained or evaluated."
)

_MOST_NAMED = 8
"""Installed packages that an error names."""

_imported: dict[str, None] = {}
# The modules that this machine's list has named so far, in order. Of the process, as is
# Gymnasium's registry, which they write to.

_SPELLED = {name.lower(): name for name in (*_NAMESPACES, MINATAR_NAMESPACE)}


def import_allowed(modules: Iterable[str]) -> None:
    """Imports the modules that register environments on this machine.

    Raises:
        ConfigError: One of them cannot be imported.
    """
    for module in modules:
        try:
            with importing(module):
                importlib.import_module(module)
            _imported[module] = None
        except ImportError as error:
            raise ConfigError(
                f"the environment module {module!r} cannot be imported ({error}). Install it here, "
                "put its folder on PYTHONPATH, or remove it from TINYQUEUE_ENVIRONMENT_MODULES."
            ) from error
        except SystemExit as error:
            if not is_environments(error):
                raise
            raise ConfigError(
                f"the environment module {module!r} ended the program while it was imported (at "
                f"{user_place(error.__traceback__) or module}): a module must neither call "
                "sys.exit nor read the command line when it is imported."
            ) from error
        except Exception as error:
            if not is_environments(error):
                # A time limit, or the refusal of a script that trains when it is imported.
                raise
            raise ConfigError(
                f"the environment module {module!r} cannot be imported: {_what_and_where(error)}. "
                "Correct it, or remove it from TINYQUEUE_ENVIRONMENT_MODULES."
            ) from error


def _what_and_where(error: Exception) -> str:
    kind, said = type(error).__name__, " ".join(str(error).split())
    place = user_place(error.__traceback__)
    if isinstance(error, SyntaxError) and error.filename:
        said, place = error.msg, f"{Path(error.filename).name}:{error.lineno}"
    return f"{kind}{said and f': {said}'}{place and f' (at {place})'}"


def allowed_modules() -> tuple[str, ...]:
    """The modules that :func:`import_allowed` has imported in this process, in order."""
    return tuple(_imported)


def find_environment(environment_id: str) -> EnvSpec:
    """The registered environment of exactly this id.

    Raises:
        ConfigError: The id has a form that is not allowed, or is an old id of an Atari game; or
            MinAtar is not installed.
        ConfigError: It belongs to a known package that is not installed, or not in the
            allow-list; the text says what to do.
        UnknownNameError: Nothing is registered under it; the text suggests the environment or
            Atari game of that name in its newest version, or else of the nearest name.
        MissingExtraError: The package that registers its namespace is not installed.
    """
    if not ENVIRONMENT_ID.fullmatch(environment_id):
        raise ConfigError(
            f"{environment_id!r} is not an environment id: use [namespace/]name-v<version> in "
            "letters from A to Z, digits, '-', '_' and '.', such as CartPole-v1 or ALE/Pong-v5. "
            "The module that registers it is listed in TINYQUEUE_ENVIRONMENT_MODULES"
            f"{_instead_of_colon(environment_id)}."
        )
    refuse_old_atari(environment_id)
    namespace = environment_id.rpartition("/")[0]
    if namespace in _NAMESPACES:
        module, extra = _NAMESPACES[namespace]
        try:
            imported = importlib.import_module(module)
        except ModuleNotFoundError as error:
            raise MissingExtraError(extra, f"the environment {environment_id}") from error
        if namespace == "ALE":
            # Log warnings and errors, but no banner.
            imported.ALEInterface.setLoggerMode(imported.LoggerMode.Warning)
    elif namespace == MINATAR_NAMESPACE:
        _register_minatar(environment_id)
    found = gymnasium.registry.get(environment_id)
    package = known_package(environment_id)
    if found is None and package is not None and package.module not in sys.modules:
        raise ConfigError(advice(environment_id, package))
    if found is None:
        known, meant = list(gymnasium.registry), _nearest(environment_id)
        told = f"{_OWN}{_or_file(environment_id)}{_or_installed(environment_id)}"
        raise UnknownNameError("environment", environment_id, known, meant, told)
    return found


def reward_threshold(spec: EnvSpec) -> float | None:
    """The mean return at which an environment's authors call it solved; None if they do not say.

    One that is infinite or NaN says nothing.

    Raises:
        ConfigError: They say something else than a number.
    """
    given: object = spec.reward_threshold
    if given is None:
        return None
    try:
        threshold = float(given)  # type: ignore[arg-type]  # It may be anything.
    except (TypeError, ValueError, OverflowError) as error:
        raise ConfigError(
            f"{spec.id} is registered with reward_threshold = {given!r}, which is not a number. "
            "Correct it where it is registered, or leave it out."
        ) from error
    return threshold if math.isfinite(threshold) else None


def _or_file(environment_id: str) -> str:
    """The module of that name in the working folder."""
    if not os.path.isfile(f"{environment_id}.py"):
        return ""
    return f" There is a file {environment_id}.py: {training_of(environment_id)}."


def _or_installed(environment_id: str) -> str:
    """The installed packages that may have it, with the command that tries the first."""
    modules = [
        module for module in modules_on_gymnasium(environment_id) if module not in sys.modules
    ]
    if not modules:
        return ""
    more = f" (also installed: {', '.join(modules[1:_MOST_NAMED])})" if modules[1:] else ""
    return (
        f" If an installed package has it, name its module: TINYQUEUE_ENVIRONMENT_MODULES="
        f"{modules[0]} tinyqueue train {environment_id}{more}."
    )


def _is_module(name: str) -> bool:
    """Whether this names a module, and not its file."""
    return bool(_MODULE.fullmatch(name)) and not name.endswith(".py")


def split_module(target: str) -> tuple[str, str]:
    """Module and id of Gymnasium's ``module:id``; an empty module and the target if it is not that.

    Only for what a person types in a command, never for an id from a message.
    """
    module, colon, name = target.partition(":")
    if colon and _is_module(module) and ENVIRONMENT_ID.fullmatch(name):
        return module, name
    return "", target


def _instead_of_colon(environment_id: str) -> str:
    """What to write instead of Gymnasium's ``module:name``, or a file's name before the colon."""
    before, colon, name = environment_id.partition(":")
    if before.endswith(".py") or (colon and not name):
        return f": {training_of(before, name)}"
    module, name = split_module(environment_id)
    return f": TINYQUEUE_ENVIRONMENT_MODULES={module} tinyqueue train {name}" if module else ""


def training_of(file: str, name: str = "") -> str:
    """The command that trains an environment which a Python file registers.

    Args:
        file: Its path, with or without the suffix.
        name: The environment's id; without one, the command says where it goes.
    """
    path = Path(file.removesuffix(".py"))
    if not _MODULE.fullmatch(path.name):
        return "rename the file first: Python imports modules of letters, digits and '_' only"
    folder = "" if path.parent == Path() else f"PYTHONPATH={shlex.quote(str(path.parent))} "
    return f"{folder}tinyqueue train {path.name}:{name or 'ID'}"


def draws_pictures(environment_id: str) -> bool:
    """Whether a registered environment can be filmed, judging by its class."""
    spec = gymnasium.registry.get(environment_id)
    made_by: Any = None if spec is None else spec.entry_point
    try:
        made_by = load_env_creator(made_by) if isinstance(made_by, str) else made_by
    except Exception:
        # Whatever an environment's module raises: this is only for a hint after training.
        return False
    metadata = getattr(made_by, "metadata", None) or {}
    return FILMED_MODE in (metadata.get("render_modes") or ())


def _register_minatar(environment_id: str) -> None:
    """Asks MinAtar to register its games: Gymnasium does not load packages' entry points.

    No extra installs it, because its licence is the GPL.
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
            "and not part of any tinyqueue extra, because its licence is GPL-3.0. Install it "
            "wherever learner and players run, with: pip install minatar"
        ) from error
    if not any(spec.namespace == MINATAR_NAMESPACE for spec in gymnasium.registry.values()):
        games.register_envs()


def _nearest(environment_id: str) -> str:
    """The registered id or Atari game of the same or the nearest name; empty if there is none.

    Letter case and version are ignored, but a version that exists is kept.
    """
    namespace, name, version = parse_env_id(environment_id)
    spelled = _SPELLED.get((namespace or "").lower())
    if spelled == MINATAR_NAMESPACE != namespace:
        # Its games are registered only when they are asked for.
        return get_env_id(spelled, name, version)
    game = game_of(name) if namespace is None or spelled == "ALE" else None
    if game is not None:
        return game
    named: dict[str, list[EnvSpec]] = {}
    for spec in gymnasium.registry.values():
        # ale_py registers the old ids of its games too.
        if spec.namespace is not None or game_of(spec.name) is None:
            named.setdefault(_key(spec.namespace, spec.name), []).append(spec)
    games = {_key("ALE", name): game for name, game in GAMES.items()} | GAMES
    known = [*named, *games]
    if spelled == MINATAR_NAMESPACE:
        known = [key for key in known if key.startswith(_key(spelled, ""))]
    near = difflib.get_close_matches(_key(namespace, name), known, n=1, cutoff=0.7)
    if not near:
        return ""
    specs = named.get(near[0])
    if specs is None:
        return games[near[0]]
    versions = [spec.version for spec in specs if spec.version is not None]
    kept = version if version in versions else max(versions, default=None)
    return get_env_id(specs[0].namespace, specs[0].name, kept)


def _key(namespace: str | None, name: str) -> str:
    return f"{namespace}/{name}".lower() if namespace else name.lower()
