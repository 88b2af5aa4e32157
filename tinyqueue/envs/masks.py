"""Action masks of environments: found in an info or an observation, checked, one row per slot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np

from tinyqueue.data.masks import ACTION_MASK, checked_mask, mask_counts
from tinyqueue.data.spaces import Array
from tinyqueue.envs.dropped import drop
from tinyqueue.envs.faults import BrokenRuleError
from tinyqueue.envs.spaces import action_layout, leaves, path_of
from tinyqueue.errors import ConfigError
from tinyqueue.experiment.environment import EnvironmentConfig

_LENGTHS = {2: "reset", 5: "step"}
# Values that each of them returns, the observation first and the info last.


def with_mask_in_info(environment: gymnasium.Env[Any, Any], path: str) -> gymnasium.Env[Any, Any]:
    """The environment with this part of its observations moved to ``info["action_mask"]``.

    Raises:
        ConfigError: The path is not of a part of the observations, or the only one.
    """
    space = environment.observation_space
    there = {path_of(keys): keys for keys, _ in leaves(space, "the observations")}
    if path not in there or len(there) < 2:
        parts = ", ".join(filter(None, there)) or "none"
        raise ConfigError(
            f"environment.action_mask = {path!r} must be one of several parts of a Dict "
            f"observation, and the observations have the parts: {parts}. Correct it, or write "
            "info:action_mask where the environment gives its mask in info."
        )
    return drop(_MaskInInfo(environment, there[path]), (path,))


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
        """What is not as Gymnasium has it passes as it is: it is told of where it is read."""
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
        key: Where infos hold them.
        actions: The action space of one environment.
        name: Of the environment, for errors.
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
            slot: Which.
            info: As ``reset`` or ``step`` gave it.
            is_over: Nothing is done in this state, so there may be no mask, or one that allows
                nothing; everything is then valid.

        Raises:
            BrokenRuleError: There is none, it has another shape, or it allows no action.
        """
        found = info.get(self._key) if isinstance(info, Mapping) else None
        if found is None and not is_over:
            raise BrokenRuleError(
                "action-mask", f"info has no {self._key!r}, where the action mask should be"
            )
        try:
            self.values[slot] = checked_mask(found, self._counts)
        except ValueError as error:
            if not is_over:
                raise BrokenRuleError("action-mask", f"the action mask {error}") from error
            self.values[slot] = True

    def repeat(self, slot: int, other: Masks) -> None:
        """Takes a slot's mask from another of the same kind."""
        self.values[slot] = other.values[slot]


def make_masks(
    config: EnvironmentConfig, actions: gymnasium.Space[Any], slots: int
) -> Masks | None:
    """The masks of ``slots`` environments; None where the experiment names none."""
    if config.action_mask is None:
        return None
    return Masks(config.mask_key, actions, config.id, slots)
