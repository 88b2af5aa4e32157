"""Which modules a command that a person types may import for an environment."""

from __future__ import annotations

from tinyqueue.envs.known_packages import modules_for
from tinyqueue.settings import Settings


def allowing(settings: Settings, environment_id: str) -> Settings:
    """Settings with the module of the known package that an environment belongs to, if it is
    installed: a person who names its environment here means it.
    """
    modules = modules_for(environment_id, settings.environment_modules)
    return settings.model_copy(update={"environment_modules": modules})
