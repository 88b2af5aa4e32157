"""Which modules a command that a person typed may import for an environment."""

from __future__ import annotations

import os

from tinyqueue.envs.known_packages import modules_for
from tinyqueue.envs.names import split_module
from tinyqueue.settings import Settings, load_settings

_VARIABLE = "TINYQUEUE_ENVIRONMENT_MODULES"


def allowing(settings: Settings, environment_id: str, module: str = "") -> Settings:
    """Settings that also allow the module of an environment's known package, if installed.

    A person who names the environment in a command wants it imported.

    Args:
        settings: The settings.
        environment_id: The environment.
        module: A module that the command names, in Gymnasium's ``module:id``; empty for none.
    """
    given = settings.environment_modules
    if module and module not in given:
        given = (*given, module)
    modules = modules_for(environment_id, given)
    return settings.model_copy(update={"environment_modules": modules})


def without_module(target: str) -> str:
    """The target of a command; a module before it counts as named on this machine.

    That is Gymnasium's ``module:id``. From here on the command and what it starts have the module
    in TINYQUEUE_ENVIRONMENT_MODULES, as have the commands that it advises to type next.
    """
    module, name = split_module(target)
    if module:
        modules = dict.fromkeys((*load_settings().environment_modules, module))
        os.environ.pop(f"{_VARIABLE}_FILE", None)
        os.environ[_VARIABLE] = ",".join(modules)
    return name
