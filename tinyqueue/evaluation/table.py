"""Environments side by side of which only those still playing have to be stepped."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import gymnasium
import numpy as np
from gymnasium.vector import VectorEnv

from tinyqueue.data.seeds import seed32
from tinyqueue.data.spaces import Array, Arrays
from tinyqueue.envs.build import make_environment, make_vectorised, reset_seeded
from tinyqueue.envs.spaces import Layout, empty
from tinyqueue.experiment.environment import EnvironmentConfig


class Table(Protocol):
    """B environments.

    Attributes:
        slots: B.
        observations, actions: Layouts of the spaces.
        rows: Current observations, path → ``[B, *obs]``; a slot keeps its last one.
        begun: ``[B]`` bool, whether that is the first of an episode; in a game whose lost lives
            ended episodes in training, this may be in the middle of it.
    """

    slots: int
    observations: Layout
    actions: Layout
    rows: Arrays
    begun: Array

    def reset(self, slots: int, seed: int, *path: int) -> None:
        """Starts a game in each of the first ``slots``; draws follow from the seed and path."""

    def step(self, slots: Array, actions: Array) -> tuple[Array, Array]:
        """Steps some slots, none of which has ended; the others may or may not move.

        Args:
            slots: ``[n]`` their indices.
            actions: ``[n]`` in the wire's type.

        Returns:
            Rewards ``[n]`` float32 and ``[n]`` bool, whether that was the game's last step.
        """

    def close(self) -> None:
        """Closes every environment."""


def make_table(config: EnvironmentConfig, slots: int) -> Table:
    """The quickest form of these environments. Games are whole ones, whatever ``life_loss`` says.

    Raises:
        UnknownNameError, ConfigError, MissingExtraError: They cannot be built here.
    """
    vector = make_vectorised(config, slots, whole_games=True)
    if vector is not None:
        return _Together(vector, config.id)
    single = [make_environment(config, whole_games=True) for _ in range(slots)]
    return _Apart(single, config.id)


def table_of(environment: gymnasium.Env[Any, Any], name: str) -> Table:
    """One environment that is there already, such as one that is filmed.

    Raises:
        ConfigError: Its spaces are not supported; the text calls it ``name``.
    """
    return _Apart([environment], name)


class _Together:
    """One vectorised environment: all slots step at once, at the price of one."""

    def __init__(self, vector: VectorEnv[Any, Any, Any], name: str) -> None:
        self.slots = vector.num_envs
        self._vector = vector
        self.observations = Layout(vector.single_observation_space, f"the observations of {name}")
        self.actions = Layout(vector.single_action_space, f"the actions of {name}")
        self.rows = empty(self.observations.space, self.slots)
        self.begun = np.ones(self.slots, bool)
        self._acted = empty(self.actions.space, self.slots)

    def reset(self, slots: int, seed: int, *path: int) -> None:
        self.observations.write(reset_seeded(self._vector, seed, *path), self.rows)
        self.begun[:] = True

    def step(self, slots: Array, actions: Array) -> tuple[Array, Array]:
        for acted in self._acted.values():
            acted[slots] = actions
        observed, rewards, terminated, truncated, info = self._vector.step(
            self.actions.unflatten(self._acted)
        )
        self.observations.write(observed, self.rows)
        self.begun[:] = info.get("life_begun", False)
        return rewards[slots].astype(np.float32), terminated[slots] | truncated[slots]

    def close(self) -> None:
        self._vector.close()


class _Apart:
    """Single environments: a slot whose game is over costs nothing."""

    def __init__(self, environments: Sequence[gymnasium.Env[Any, Any]], name: str) -> None:
        self.slots = len(environments)
        self._environments = environments
        first = environments[0]
        self.observations = Layout(first.observation_space, f"the observations of {name}")
        self.actions = Layout(first.action_space, f"the actions of {name}")
        (self._action_path,) = self.actions.space
        self.rows = empty(self.observations.space, self.slots)
        self.begun = np.ones(self.slots, bool)
        self._row = [
            {path: rows[slot : slot + 1] for path, rows in self.rows.items()}
            for slot in range(self.slots)
        ]

    def reset(self, slots: int, seed: int, *path: int) -> None:
        for slot in range(slots):
            observed, _ = self._environments[slot].reset(seed=seed32(seed, *path, slot))
            self.observations.write(observed, self._row[slot])
        self.begun[:] = True

    def step(self, slots: Array, actions: Array) -> tuple[Array, Array]:
        rewards, ended = np.zeros(len(slots), np.float32), np.zeros(len(slots), bool)
        for i, slot in enumerate(slots):
            observed, reward, terminated, truncated, info = self._environments[slot].step(
                self.actions.unflatten({self._action_path: actions[i]})
            )
            self.observations.write(observed, self._row[slot])
            rewards[i], ended[i] = reward, terminated or truncated
            self.begun[slot] = info.get("life_begun", False)
        return rewards, ended

    def close(self) -> None:
        for environment in self._environments:
            environment.close()
