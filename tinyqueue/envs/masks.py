"""Action masks of environments: taken from an info or an observation, checked, a row per slot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np

from tinyqueue.data.masks import ACTION_MASK, checked_mask, mask_counts
from tinyqueue.data.spaces import Array, Space
from tinyqueue.envs.dropped import drop
from tinyqueue.envs.faults import BrokenRuleError
from tinyqueue.envs.spaces import action_layout, leaves, path_of
from tinyqueue.errors import ConfigError
from tinyqueue.experiment.environment import EnvironmentConfig

_LENGTHS = {2: "reset", 5: "step"}
# Number of values that each returns, the observation first and the info last.


def with_mask_in_info(environment: gymnasium.Env[Any, Any], path: str) -> gymnasium.Env[Any, Any]:
    """The environment with this part of its observations moved to ``info["action_mask"]``.

    Raises:
        ConfigError: The observations have no such part, or only this one.
    """
    space = environment.observation_space
    there = {path_of(keys): keys for keys, _ in leaves(space, "the observations")}
    if path not in there or len(there) < 2:
        parts = ", ".join(filter(None, there)) or "none"
        raise ConfigError(
            f"environment.action_mask = {path!r} must be one of several parts of a Dict "
            f"observation, but the observations have the parts: {parts}. Correct it, or use "
            "info:action_mask if the environment gives its mask in info."
        )
    return drop(_MaskInInfo(environment, there[path]), (path,))


_MOST_KEYS = 8
"""Keys of ``info`` that an error names."""


class _MaskInInfo(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Copies a part of every observation into the info."""

    def __init__(self, environment: gymnasium.Env[Any, Any], keys: tuple[str | int, ...]) -> None:
        super().__init__(environment)
        self._keys = keys

    def reset(self, **options: Any) -> Any:
        return self._copied(self.env.reset(**options))

    def step(self, action: Any) -> Any:
        return self._copied(self.env.step(action))

    def _copied(self, result: Any) -> Any:
        """A result that does not follow Gymnasium's API passes unchanged; its reader reports it."""
        is_usual = isinstance(result, tuple) and len(result) in _LENGTHS
        if not is_usual or not isinstance(result[-1], Mapping):
            return result
        found = result[0]
        for key in self._keys:
            try:
                found = found[key]
            except (KeyError, IndexError, TypeError):
                return result
        return (*result[:-1], {**result[-1], ACTION_MASK: found})


class Masks:
    """The masks of B environments.

    Args:
        key: The key under which infos hold them.
        actions: The action space of one environment.
        name: Name of the environment, for errors.
        slots: B.

    Attributes:
        values: ``[B, n]`` bool.

    Raises:
        ConfigError: The action space is not one Discrete or MultiDiscrete.
    """

    def __init__(self, key: str, actions: gymnasium.Space[Any], name: str, slots: int) -> None:
        self._key = key
        self._counts = mask_counts(action_layout(actions, name).space)
        self.values: Array = np.ones((slots, sum(self._counts)), bool)

    def take(self, slot: int, info: Any, *, is_over: bool = False) -> None:
        """Takes a slot's mask from an info.

        Args:
            slot: The slot.
            info: As returned by ``reset`` or ``step``.
            is_over: The episode has ended, so no action follows: the mask may be missing or allow
                nothing, and every action then counts as valid.

        Raises:
            BrokenRuleError: There is no mask, it has another shape, or it allows no action.
        """
        found = info.get(self._key) if isinstance(info, Mapping) else None
        if found is None and not is_over:
            keys = sorted(map(repr, info))[:_MOST_KEYS] if isinstance(info, Mapping) else []
            raise BrokenRuleError(
                "action-mask",
                f"info has no {self._key!r}, where environment.action_mask says that the action "
                f"mask is; it has {', '.join(keys) or 'nothing'}",
            )
        try:
            self.values[slot] = checked_mask(found, self._counts)
        except ValueError as error:
            if not is_over:
                raise BrokenRuleError("action-mask", f"the action mask {error}") from error
            self.values[slot] = True

    def repeat(self, slot: int, other: Masks) -> None:
        """Copies a slot's mask from ``other``, of the same kind."""
        self.values[slot] = other.values[slot]


def offered_mask(observations: gymnasium.Space[Any], actions: Space, *, in_info: bool) -> str:
    """What ``environment.action_mask`` could be set to; empty if nothing looks like a mask.

    Args:
        observations: The observation space of one environment.
        actions: Its actions.
        in_info: Whether its infos have the key ``action_mask``.
    """
    try:
        mask_counts(actions)
    except ConfigError:
        return ""
    if in_info:
        return f"info:{ACTION_MASK}"
    parts = [keys for keys, _ in leaves(observations, "the observations")]
    named = [path_of(keys) for keys in parts if keys and keys[-1] == ACTION_MASK]
    return named[0] if named and len(parts) > 1 else ""


def make_masks(
    config: EnvironmentConfig, actions: gymnasium.Space[Any], slots: int
) -> Masks | None:
    """The masks of ``slots`` environments; None if the experiment uses none."""
    if config.action_mask is None:
        return None
    return Masks(config.mask_key, actions, config.id, slots)
