"""Leaving parts out of an observation: ``environment.drop``, and parts dropped automatically."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import gymnasium
from gymnasium import spaces
from gymnasium.wrappers import TransformObservation

from tinyqueue.envs.spaces import is_supported, leaves, path_of
from tinyqueue.errors import ConfigError

_Rest = tuple[gymnasium.Space[Any], Callable[[Any], Any]]
# What is left of a space, and a function that takes it from a value.


def drop(environment: gymnasium.Env[Any, Any], paths: Sequence[str]) -> gymnasium.Env[Any, Any]:
    """The environment without these parts of its observations.

    A Tuple that loses a part becomes a Dict with the keys ``"0"``, ``"1"``, …, so that the others
    keep their paths.

    Raises:
        ConfigError: The observations have no such path, or nothing would be left.
    """
    space = environment.observation_space
    there = [path_of(keys) for keys, _ in leaves(space, "the observations")]
    for path in paths:
        if not path or not any(known == path or known.startswith(f"{path}/") for known in there):
            parts = ", ".join(filter(None, there))
            has = f"the parts {parts}" if parts else f"no parts: they are {space}"
            raise ConfigError(
                f"environment.drop has {path!r}, but the observations have {has}. Use paths that "
                "exist, or remove it."
            )
    rest = _rest(space, frozenset(paths), "")
    if rest is None:
        raise ConfigError(
            f"environment.drop = {list(paths)} leaves nothing of the observations, which have the "
            f"parts {', '.join(there)}. Keep at least one."
        )
    left, take = rest
    return TransformObservation(environment, take, left)


def unsupported_parts(space: gymnasium.Space[Any]) -> tuple[str, ...]:
    """The paths in an observation that cannot be arrays, such as strings, if others remain.

    It is empty if all parts are supported, if none would remain, and if the space has no parts.

    Raises:
        ConfigError: A key of a Dict makes paths ambiguous.
    """
    parts = {path_of(keys): leaf for keys, leaf in leaves(space, "the observations")}
    unsupported = tuple(path for path, leaf in parts.items() if not is_supported(leaf))
    return unsupported if len(unsupported) < len(parts) else ()


def drop_notice(environment_id: str, dropped: Sequence[str]) -> str:
    """A notice for a person whose environment has parts that were dropped automatically."""
    said = ", ".join(map(repr, dropped))
    setting = ", ".join(f'"{path}"' for path in dropped)
    have = "is not an array" if len(dropped) == 1 else "are not arrays"
    return (
        f"the observations of {environment_id} have {said}, which {have} of numbers: dropped "
        f"(environment.drop = [{setting}])"
    )


def _rest(space: gymnasium.Space[Any], paths: frozenset[str], at: str) -> _Rest | None:
    if at in paths:
        return None
    inner: dict[Any, gymnasium.Space[Any]]
    if isinstance(space, spaces.Tuple):
        inner = dict(enumerate(space.spaces))
    elif isinstance(space, spaces.Dict):
        inner = dict(space.spaces)
    else:
        return space, lambda value: value
    rests = {key: _rest(part, paths, path_of((*filter(None, [at]), key)))
             for key, part in inner.items()}  # fmt: skip
    kept = {key: rest for key, rest in rests.items() if rest is not None}
    if not kept:
        return None
    takes = [(key, take) for key, (_, take) in kept.items()]
    if isinstance(space, spaces.Tuple) and len(kept) == len(inner):
        left = spaces.Tuple([part for part, _ in kept.values()])
        return left, lambda value: tuple(take(value[key]) for key, take in takes)
    named = spaces.Dict([(str(key), part) for key, (part, _) in kept.items()])
    return named, lambda value: {str(key): take(value[key]) for key, take in takes}
