"""Every algorithm by name. Importing it brings no TensorFlow."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, NamedTuple

from tinyqueue.algorithms.bare import BareAlgorithm
from tinyqueue.algorithms.base import Algorithm, AnyAlgorithm
from tinyqueue.algorithms.dqn import Apex, DoubleDqn, Dqn, NStepQ, OneStepQ, RainbowLite
from tinyqueue.algorithms.impala import A3c, Impala
from tinyqueue.algorithms.ppo import Ppo
from tinyqueue.algorithms.pqn import Pqn
from tinyqueue.algorithms.r2d2 import R2d2
from tinyqueue.algorithms.sac import Sac
from tinyqueue.data.spaces import Space
from tinyqueue.errors import ConfigError
from tinyqueue.experiment.brought import brought
from tinyqueue.experiment.config_class import require_config
from tinyqueue.models.network import Output

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


class _Base(NamedTuple):
    """What a base asks: the module that says so, and what ``__init__`` takes and sets."""

    module: str
    signature: str
    sets: tuple[str, ...]


_WITH_KERAS = _Base(
    Algorithm.__module__, "(config, network, actions, mask_size=0)", ("acting_outputs", "kept")
)
_WITH_OWN = _Base(BareAlgorithm.__module__, "(config, problem)", ("graph",))


def find(name: str) -> type[AnyAlgorithm[Any, Any]]:
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


def checked(found: object, where: str) -> type[AnyAlgorithm[Any, Any]]:
    """A class that a user brought, when it has what an algorithm must have.

    Args:
        found: What was loaded.
        where: Where it is from, for errors.

    Raises:
        ConfigError: It is no algorithm; the text says what it lacks.
    """
    if not isinstance(found, type) or not issubclass(found, Algorithm | BareAlgorithm):
        every = (*_REQUIRED, *sorted(AnyAlgorithm.__abstractmethods__))
        lacks = [name for name in every if not hasattr(found, name)]
        raise ConfigError(
            f"{where} is not an algorithm: it must be a class that derives from "
            "tinyqueue.algorithms.base.Algorithm, which trains a Keras network; from one of its "
            "subclasses; or from tinyqueue.algorithms.bare.BareAlgorithm, which brings its own "
            "network." + (f" It also lacks {', '.join(lacks)}." if lacks else "")
        )
    # Abstract methods are inherited, so hasattr finds them in any case.
    lacks = [name for name in _REQUIRED if not hasattr(found, name)]
    lacks += sorted(found.__abstractmethods__)
    if lacks:
        raise ConfigError(
            f"{where} lacks {', '.join(lacks)}, which every algorithm must have; "
            f"{_base(found).module} says what each does."
        )
    if not isinstance(found.head, str):
        raise ConfigError(f"{where}: its head is {found.head!r}; it must be the name of one.")
    taken, wanted = inspect.signature(found), _base(found).signature
    try:
        taken.bind(*wanted.strip("()").split(", "))
    except TypeError:
        raise ConfigError(
            f"{where}: its __init__ takes ({', '.join(taken.parameters)}); it must take {wanted}."
        ) from None
    _require_methods(found, where)
    require_config(found.Config, where)
    if found.replay is not AnyAlgorithm.replay and not getattr(found.Config, "uses_replay", False):
        raise ConfigError(
            f"{where} has a replay, and its Config does not say so. Write "
            "uses_replay: ClassVar[bool] = True in it, so that experiments have a table [replay]."
        )
    return found


def _require_methods(found: type[AnyAlgorithm[Any, Any]], where: str) -> None:
    """Returns if methods take what they are called with."""
    base = BareAlgorithm if issubclass(found, BareAlgorithm) else Algorithm
    of_class = ("check", "outputs")
    for name in (*of_class, "update", "is_sound", "prepare", "state", "restore", "weights"):
        if not hasattr(base, name):
            continue
        wanted, taken = (
            inspect.signature(getattr(base, name)),
            inspect.signature(getattr(found, name)),
        )
        try:
            taken.bind(*wanted.parameters)
        except TypeError:
            as_what = ", as a classmethod" if name in of_class else ""
            raise ConfigError(
                f"{where}: its {name} takes ({', '.join(taken.parameters)}); it must take "
                f"({', '.join(wanted.parameters)}){as_what}."
            ) from None


def outputs_of(
    algorithm: type[Algorithm[Any, Any]], name: str, actions: Space, config: Any
) -> dict[str, Output]:
    """What an algorithm asks of its network.

    Raises:
        ConfigError: It does not support this action space; or what it returned is something else.
            The text names the algorithm by ``name``.
    """
    outputs: object = algorithm.outputs(actions, config)
    if not isinstance(outputs, dict) or not all(
        isinstance(key, str) and isinstance(output, Output) for key, output in outputs.items()
    ):
        raise ConfigError(
            f"{name}: its outputs returned {outputs!r}; it must return a dict of "
            "tinyqueue.models.network.Output by name."
        )
    return outputs


def require_built(algorithm: AnyAlgorithm[Any, Any], name: str) -> None:
    """Returns when an algorithm's ``__init__`` has set what it must set.

    Raises:
        ConfigError: It has not; the text says what, and the algorithm by this name.
    """
    base = _base(type(algorithm))
    lacks = [each for each in base.sets if not hasattr(algorithm, each)]
    if lacks:
        raise ConfigError(
            f"{name}: its __init__ must set {' and '.join(lacks)}; {base.module} says what each is."
        )
    if isinstance(algorithm, Algorithm) and not isinstance(algorithm.kept, Mapping):
        raise ConfigError(
            f"{name}: its kept is a {type(algorithm.kept).__name__}; it must be a dict of "
            "variables by name."
        )


def _base(found: type[AnyAlgorithm[Any, Any]]) -> _Base:
    return _WITH_OWN if issubclass(found, BareAlgorithm) else _WITH_KERAS
