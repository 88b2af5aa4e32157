"""Which modules a command that a person typed may import for an environment."""

from __future__ import annotations

from tinyqueue.envs.known_packages import modules_for
from tinyqueue.settings import Settings


def allowing(settings: Settings, environment_id: str) -> Settings:
    """Settings that also allow the module of an environment's known package, if installed.

    A person who names the environment in a command wants it imported.
    """
    modules = modules_for(environment_id, settings.environment_modules)
    return settings.model_copy(update={"environment_modules": modules})
