"""Playing by a class of a user's module instead of the learner's graph: ``session.policy``.

Its name can come from the network, as environment ids do, so it never decides what is imported: the
module must be on this machine's own list.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np

from tinyqueue.data.spaces import Array, Arrays, Leaf, Space
from tinyqueue.envs.faults import BrokenRuleError, failed, is_environments
from tinyqueue.envs.names import allowed_modules
from tinyqueue.envs.spaces import Layout
from tinyqueue.errors import ConfigError, UnknownNameError
from tinyqueue.experiment.scripted import ScriptedConfig
from tinyqueue.policy.heads import Head
from tinyqueue.policy.rollout import Rollout, Runner
from tinyqueue.wire.contract import Extra


def find_policy(config: ScriptedConfig) -> type[Any]:
    """The class that ``session.policy`` names.

    Raises:
        ConfigError: Its module is not allowed on this machine, or it is no class of that module's
            package with a method ``act``.
        UnknownNameError: The module has no class of that name; the text suggests the nearest.
    """
    allowed, name = allowed_modules(), config.policy
    if config.module not in allowed:
        raise ConfigError(
            f"session.policy = {name!r} is in a module that this machine does not allow. Wherever "
            "it plays, set "
            f"TINYQUEUE_ENVIRONMENT_MODULES={','.join((*allowed, config.module))}."
        )
    module = sys.modules[config.module]
    found = getattr(module, config.class_name, None)
    if found is None:
        known = [f"{config.module}:{n}" for n, v in vars(module).items() if _is_policy(v)]
        raise UnknownNameError("policy", name, known)
    package = config.module.partition(".")[0]
    if not _is_policy(found) or found.__module__.partition(".")[0] != package:
        raise ConfigError(
            f"session.policy = {name!r} must be a class of the package {package} with a method "
            "act(observations, is_first) that returns actions."
        )
    return found  # type: ignore[no-any-return]


def _is_policy(value: object) -> bool:
    return inspect.isclass(value) and callable(getattr(value, "act", None))


class Unrecorded:
    """The head of actions that are chosen elsewhere. It reads nothing and records nothing."""

    outputs: tuple[str, ...] = ()
    extras: Mapping[str, Extra] = {}
    epsilons: tuple[float, ...] = ()

    def begin(self, ticks: int, slots: int, rng: np.random.Generator, env_steps: int) -> None:
        """Draws nothing."""

    def act(self, tick: int, outputs: Arrays, mask: Array | None = None) -> Arrays:
        """The outputs, which are actions."""
        return outputs

    def recorded(self) -> Arrays:
        """Nothing."""
        return {}


class ScriptedRollout(Rollout):
    """Acts by an object of the user's class, and tells it where episodes begin.

    The recurrent state of the learner's network stays zero.

    Args:
        config: Names the class.
        spaces: The environment's observation and action space.
        layouts: Those of the spaces.
        actions: The action space on the wire.
        state: Recurrent state of the learner's network: path → shape for one slot.
        slots: B.
        seed: Seed for the policy's own draws.

    Raises:
        ConfigError, UnknownNameError: As :func:`find_policy`.
        EnvironmentFailedError: Its constructor raises.
    """

    def __init__(
        self,
        config: ScriptedConfig,
        spaces: tuple[gymnasium.Space[Any], gymnasium.Space[Any]],
        layouts: tuple[Layout, Layout],
        actions: Space,
        state: Mapping[str, tuple[int, ...]],
        slots: int,
        seed: int,
    ) -> None:
        super().__init__(actions, state, slots)
        self._name = f"session.policy {config.policy}"
        self._observed, self._acted = layouts
        self._space = actions
        self._is_first = np.ones(slots, bool)
        make = find_policy(config)
        try:
            self._policy = make(*spaces, slots, seed, **config.arguments)
        except BaseException as error:
            if not is_environments(error):
                raise
            raise failed(error, self._name, "its constructor") from error

    @property
    def looks_back(self) -> bool:
        """Always: it is told of every episode's first row."""
        return True

    def begin(self, runner: Runner, head: Head, ticks: int, rng: np.random.Generator) -> None:
        """Does nothing: the policy is the same in every batch."""

    def act(self, tick: int, seen: Arrays, mask: Array | None = None) -> Arrays:
        """Actions for one tick, path → ``[B, *act]``.

        Args:
            tick: 0 … ticks−1.
            seen: Single frames, path → ``[B, *obs]``.
            mask: ``[B, n]`` bool, which the policy then gets as its third argument.

        Raises:
            EnvironmentFailedError: The policy raises, or returns what are no actions of the space.
        """
        given = [self._observed.unflatten(seen), self._is_first.copy()]
        if mask is not None:
            given.append(mask.copy())
        self._is_first[:] = False
        try:
            chosen = self._acted.flatten(self._policy.act(*given))
            return {path: self._checked(path, leaf, chosen) for path, leaf in self._space.items()}
        except BaseException as error:
            if not is_environments(error):
                raise
            raise failed(error, self._name, "act") from error

    def forget(self, begun: Array) -> None:
        """Clears the memory of slots that are now at an episode's first observation."""
        super().forget(begun)
        self._is_first |= begun

    def _checked(self, path: str, leaf: Leaf, chosen: Arrays) -> Array:
        actions = chosen[path]
        shape = (len(self._is_first), *leaf.shape)
        what = f"the actions{f' at {path!r}' if path else ''}"
        if actions.shape != shape:
            told = f"{what} are of shape {actions.shape}, not {shape}: one per slot"
            raise BrokenRuleError("action-shape", told)
        if not leaf.is_discrete:
            if not np.isfinite(actions).all():
                raise BrokenRuleError("action-range", f"{what} are not all finite")
            # As it is executed: clipped to the bounds that there are.
            return np.clip(actions, leaf.low, leaf.high).astype(leaf.dtype)
        counts = np.reshape(leaf.nvec, leaf.shape) if leaf.nvec else leaf.n
        if actions.dtype.kind not in "biu" or (actions < 0).any() or (actions >= counts).any():
            raise BrokenRuleError(
                "action-range", f"{what} are not whole numbers of the action space's values"
            )
        return actions.astype(leaf.dtype)
