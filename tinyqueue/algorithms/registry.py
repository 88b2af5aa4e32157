"""Every algorithm by name. Importing it brings no TensorFlow."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from tinyqueue.algorithms.base import Algorithm
from tinyqueue.algorithms.dqn import Apex, DoubleDqn, Dqn, NStepQ, OneStepQ, RainbowLite
from tinyqueue.algorithms.impala import A3c, Impala
from tinyqueue.algorithms.ppo import Ppo
from tinyqueue.algorithms.pqn import Pqn
from tinyqueue.algorithms.r2d2 import R2d2
from tinyqueue.algorithms.sac import Sac
from tinyqueue.errors import ConfigError
from tinyqueue.experiment.brought import brought
from tinyqueue.experiment.config_class import require_config

ALGORITHMS: Mapping[str, type[Algorithm[Any, Any]]] = {
    "impala": Impala,
    "a3c": A3c,
    "ppo": Ppo,
    "pqn": Pqn,
    "dqn": Dqn,
    "double-dqn": DoubleDqn,
    "rainbow-lite": RainbowLite,
    "apex": Apex,
    "q-1step": OneStepQ,
    "q-nstep": NStepQ,
    "r2d2": R2d2,
    "sac": Sac,
}
"""Those that come with tinyqueue."""

_REQUIRED = ("Config", "head")
_SIGNATURE = "(config, network, actions, mask_size=0)"
_REQUIRED_WHEN_BUILT = ("acting_outputs", "kept")


def find(name: str) -> type[Algorithm[Any, Any]]:
    """The algorithm that an experiment names.

    One of :data:`ALGORITHMS`, ``path/to/file.py:Name``, or an entry point of the group
    ``tinyqueue.algorithms``.

    Raises:
        UnknownNameError: There is none of this name.
        ConfigError: It does not import, or lacks what an algorithm must have.
    """
    if name in ALGORITHMS:
        return ALGORITHMS[name]
    return checked(*brought("algorithm", name, ALGORITHMS))


def checked(found: object, where: str) -> type[Algorithm[Any, Any]]:
    """A class that a user brought, when it has what an algorithm must have.

    Args:
        found: What was loaded.
        where: Where it is from, for errors.

    Raises:
        ConfigError: It is no algorithm; the text says what it lacks.
    """
    if not isinstance(found, type) or not issubclass(found, Algorithm):
        every = (*_REQUIRED, *sorted(Algorithm.__abstractmethods__))
        lacks = [name for name in every if not hasattr(found, name)]
        raise ConfigError(
            f"{where} is not an algorithm: it must be a class that derives from "
            "tinyqueue.algorithms.base.Algorithm or from one of its subclasses."
            + (f" It also lacks {', '.join(lacks)}." if lacks else "")
        )
    # Abstract methods are inherited, so hasattr finds them in any case.
    lacks = [name for name in _REQUIRED if not hasattr(found, name)]
    lacks += sorted(found.__abstractmethods__)
    if lacks:
        raise ConfigError(
            f"{where} lacks {', '.join(lacks)}, which every algorithm must have; "
            "tinyqueue.algorithms.base says what each does."
        )
    taken = inspect.signature(found)
    try:
        taken.bind("config", "network", "actions", 0)
    except TypeError:
        raise ConfigError(
            f"{where}: its __init__ takes ({', '.join(taken.parameters)}); it must take "
            f"{_SIGNATURE}."
        ) from None
    require_config(found.Config, where)
    if found.replay is not Algorithm.replay and not getattr(found.Config, "uses_replay", False):
        raise ConfigError(
            f"{where} has a replay, and its Config does not say so. Write "
            "uses_replay: ClassVar[bool] = True in it, so that experiments have a table [replay]."
        )
    return found


def require_built(algorithm: Algorithm[Any, Any], name: str) -> None:
    """Returns when an algorithm's ``__init__`` has set what it must set.

    Raises:
        ConfigError: It has not; the text says what, and the algorithm by this name.
    """
    lacks = [each for each in _REQUIRED_WHEN_BUILT if not hasattr(algorithm, each)]
    if lacks:
        raise ConfigError(
            f"{name}: its __init__ must set {' and '.join(lacks)}; "
            "tinyqueue.algorithms.base says what each is."
        )
