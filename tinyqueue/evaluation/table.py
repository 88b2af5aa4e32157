"""Parallel environments, of which only those still playing have to be stepped."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import gymnasium
import numpy as np
from gymnasium.vector import VectorEnv

from tinyqueue.data.pace import Pace
from tinyqueue.data.seeds import seed32
from tinyqueue.data.spaces import Array, Arrays
from tinyqueue.envs.build import make_environment, make_vectorised, reset_seeded
from tinyqueue.envs.faults import ONLY_ONE, advised, failed, is_environments, place_of
from tinyqueue.envs.hanging import Alarm
from tinyqueue.envs.masks import make_masks
from tinyqueue.envs.observed import Observed
from tinyqueue.envs.paced import take_pace
from tinyqueue.envs.results import first_observation, step_values
from tinyqueue.envs.side_by_side import close_all
from tinyqueue.envs.slot_numbers import first_evaluated
from tinyqueue.envs.spaces import Layout, action_layout, empty
from tinyqueue.errors import EnvironmentFailedError
from tinyqueue.experiment.environment import EnvironmentConfig


class Table(Protocol):
    """B environments.

    Attributes:
        slots: B.
        observations, actions: Layouts of the spaces.
        rows: Current observations, path → ``[B, *obs]``; a slot keeps its last one.
        begun: ``[B]`` bool, whether the observation is the first of an episode. If lost lives ended
            episodes in training, this may be in the middle of a game.
    """

    slots: int
    observations: Layout
    actions: Layout
    rows: Arrays
    begun: Array

    @property
    def masks(self) -> Array | None:
        """``[B, n]`` bool, actions that are valid for ``rows``; None without masks."""

    def reset(self, slots: int, seed: int, *path: int) -> None:
        """Starts a game in each of the first ``slots``.

        Args:
            slots: Number of slots.
            seed, path: Give the seed of each slot.
        """

    def step(self, slots: Array, actions: Arrays) -> tuple[Array, Array]:
        """Steps some slots, none of which has ended; the others may or may not move.

        Args:
            slots: ``[n]`` their indices.
            actions: path → ``[n, *act]`` in the leaves' dtypes.

        Returns:
            Rewards ``[n]`` float32 and ``[n]`` bool, whether that was the game's last step.
        """

    def take_pace(self) -> Pace | None:
        """How soon actions came since the last call; None unless the environment is timed."""

    def close(self) -> None:
        """Closes every environment."""


def make_table(config: EnvironmentConfig, slots: int) -> Table:
    """The fastest form of these environments. Games are played to the end, despite ``life_loss``.

    Raises:
        UnknownNameError, ConfigError, MissingExtraError: They cannot be built here.
    """
    vector = make_vectorised(config, slots, whole_games=True)
    if vector is not None:
        return _Together(vector, config.id)
    first = first_evaluated(slots)

    def make(slot: int) -> gymnasium.Env[Any, Any]:
        return make_environment(config, whole_games=True, number=first + slot)

    return _Apart(make, slots, config)


def table_of(environment: gymnasium.Env[Any, Any], config: EnvironmentConfig) -> Table:
    """A table of one existing environment, such as one that is filmed.

    Args:
        environment: Built from ``config``, perhaps wrapped.
        config: Its settings; ``hang_s`` is ignored.

    Raises:
        ConfigError: Its spaces are not supported.
    """
    return _Apart(lambda slot: environment, 1, config.model_copy(update={"hang_s": None}))


class _Together:
    """One vectorised environment: stepping all slots costs about as much as stepping one."""

    masks = None

    def __init__(self, vector: VectorEnv[Any, Any, Any], name: str) -> None:
        self.slots = vector.num_envs
        self._vector = vector
        self.observations = Layout(vector.single_observation_space, f"the observations of {name}")
        self.actions = action_layout(vector.single_action_space, name)
        self.rows = empty(self.observations.space, self.slots)
        self.begun = np.ones(self.slots, bool)
        self._acted = empty(self.actions.space, self.slots)

    def reset(self, slots: int, seed: int, *path: int) -> None:
        self.observations.write(reset_seeded(self._vector, seed, *path), self.rows)
        self.begun[:] = True

    def step(self, slots: Array, actions: Arrays) -> tuple[Array, Array]:
        for path, acted in self._acted.items():
            acted[slots] = actions[path]
        observed, rewards, terminated, truncated, info = self._vector.step(
            self.actions.unflatten(self._acted)
        )
        self.observations.write(observed, self.rows)
        self.begun[:] = info.get("life_begun", False)
        return rewards[slots].astype(np.float32), terminated[slots] | truncated[slots]

    def take_pace(self) -> Pace | None:
        return None

    def close(self) -> None:
        self._vector.close()


class _Apart:
    """Separate environments: a slot whose game is over costs nothing.

    A failure ends the games, since half a game has no score.
    """

    def __init__(
        self,
        make: Callable[[int], gymnasium.Env[Any, Any]],
        slots: int,
        config: EnvironmentConfig,
    ) -> None:
        self.slots, self._name = slots, config.label
        self._alarm = Alarm(config.hang_s)
        self._environments: list[gymnasium.Env[Any, Any]] = []
        try:
            with self._alarm:
                for slot in range(slots):
                    self._build(make, slot)
            first = self._environments[0]
            self.observations = Layout(first.observation_space, f"the observations of {config.id}")
            self.actions = action_layout(first.action_space, config.id)
            self._masks = make_masks(config, first.action_space, slots)
        except BaseException:
            self.close()
            raise
        self._observed = Observed(first.observation_space, slots)
        self.rows = empty(self.observations.space, slots)
        self.begun = np.ones(slots, bool)
        self._row = [
            {path: rows[slot : slot + 1] for path, rows in self.rows.items()}
            for slot in range(slots)
        ]
        self._steps = [0] * slots

    @property
    def masks(self) -> Array | None:
        return None if self._masks is None else self._masks.values

    def reset(self, slots: int, seed: int, *path: int) -> None:
        with self._alarm:
            for slot in range(slots):
                self._alarm.began_s = time.monotonic()
                environment = self._environments[slot]
                with self._blaming(environment, "reset", slot):
                    result = environment.reset(seed=seed32(seed, *path, slot))
                    self._show(slot, first_observation(result))
                    if self._masks is not None:
                        self._masks.take(slot, result[1])
                self._steps[slot] = 0
        self.begun[:] = True

    def step(self, slots: Array, actions: Arrays) -> tuple[Array, Array]:
        rewards, ended = np.zeros(len(slots), np.float32), np.zeros(len(slots), bool)
        with self._alarm:
            for i, slot in enumerate(slots.tolist()):
                action = self.actions.unflatten({path: a[i] for path, a in actions.items()})
                self._alarm.began_s = time.monotonic()
                environment = self._environments[slot]
                with self._blaming(environment, "step", slot):
                    result = environment.step(action)
                    observed, (rewards[i], terminated, truncated) = step_values(result)
                    self._show(slot, observed)
                    self.begun[slot] = _life_begun(result[4])
                    if self._masks is not None:
                        self._masks.take(slot, result[4], is_over=terminated or truncated)
                self._steps[slot] += 1
                ended[i] = terminated or truncated
        return rewards, ended

    def take_pace(self) -> Pace | None:
        return take_pace(self._environments)

    def close(self) -> None:
        self._alarm.end()
        close_all(self._environments, self._name)
        self._environments.clear()

    def _build(self, make: Callable[[int], gymnasium.Env[Any, Any]], slot: int) -> None:
        self._alarm.began_s = time.monotonic()
        try:
            self._environments.append(make(slot))
        except EnvironmentFailedError as error:
            if slot and ONLY_ONE not in str(error):
                raise advised(error, ONLY_ONE) from error
            raise

    def _show(self, slot: int, observation: Any) -> None:
        self._observed.take(slot, observation)
        self._observed.check_slot(slot)
        self.observations.write(self._observed.of(slot), self._row[slot])

    @contextmanager
    def _blaming(
        self, environment: gymnasium.Env[Any, Any], call: str, slot: int
    ) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            if not is_environments(error):
                raise
            at = f" {self._steps[slot] + 1}" if call == "step" else ""
            place = place_of(environment, call)
            doing = f"{call}{at} of the game in slot {slot}"
            raise failed(error, self._name, doing, place=place) from error


def _life_begun(info: Any) -> bool:
    """The flag of :class:`~tinyqueue.envs.atari_wrappers.Lives`; other infos are ignored."""
    return isinstance(info, dict) and info.get("life_begun") is True
