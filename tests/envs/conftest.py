"""What tests of environments share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gymnasium
import pytest

from tinyqueue.envs.trial import Trial, try_out
from tinyqueue.experiment.environment import EnvironmentConfig

ID = "Tried-v0"


@pytest.fixture
def tried() -> Iterator[Any]:
    """Tries an environment of this class out."""

    def try_class(cls: Any, **settings: Any) -> Trial:
        gymnasium.register(ID, entry_point=cls)
        return try_out(EnvironmentConfig(id=ID, **settings)).trial

    yield try_class
    gymnasium.registry.pop(ID, None)
