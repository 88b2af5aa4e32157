"""ε-greedy choice by Q values, which are recorded for the initial priorities of a replay."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tinyqueue.data.joint_actions import JointActions
from tinyqueue.data.spaces import Array, Arrays, Space
from tinyqueue.policy.heads.exploration import Exploration
from tinyqueue.policy.heads.masks import ValidDraws, mask_out
from tinyqueue.wire.contract import Extra

Q_TAKEN, Q_MAX = "q_taken", "q_max"
"""The extras with Q(s, a) of the chosen action and max Q(s, ·): ``[T, B]`` float32."""


class EpsilonGreedy:
    """The action with the largest Q value, or with the slot's probability ε a uniformly random one.

    Args:
        actions: The action space; each joint action has a Q value.
        exploration: Gives ε.
        stage: Id of the stage that it acts for.
    """

    outputs = ("q",)
    extras: Mapping[str, Extra] = {Q_TAKEN: Extra("float32"), Q_MAX: Extra("float32")}

    def __init__(self, actions: Space, exploration: Exploration, stage: str) -> None:
        self._joint = JointActions(actions)
        self._path = self._joint.path
        self._n, self._dtype = self._joint.n, np.dtype(self._joint.dtype)
        self._exploration = exploration
        self._stage = stage
        self._q = np.empty((0, 0, self._n), np.float32)
        self._actions = np.empty((0, 0), self._dtype)
        self._is_greedy = np.empty((0, 0), bool)
        self._epsilons = np.empty(0)
        self._valid_draws = ValidDraws()

    @property
    def epsilons(self) -> tuple[float, ...]:
        """ε of each slot in the current batch."""
        return tuple(self._epsilons.tolist())

    def begin(self, ticks: int, slots: int, rng: np.random.Generator, env_steps: int) -> None:
        """Draws ``[T, B]``: where to act greedily, and the random actions."""
        if self._q.shape[:2] != (ticks, slots):
            self._q = np.empty((ticks, slots, self._n), np.float32)
        self._epsilons = self._exploration.epsilons(self._stage, slots, env_steps)
        self._is_greedy = rng.random((ticks, slots)) >= self._epsilons
        self._actions = rng.integers(self._n, size=(ticks, slots), dtype=self._dtype)
        self._valid_draws.begin(ticks, slots, rng)

    def act(self, tick: int, outputs: Arrays, mask: Array | None = None) -> Arrays:
        """Chooses ``[B]`` joint actions by ``q`` ``[B, n]``; only among valid ones with a mask."""
        q = self._q[tick]
        q[...] = outputs["q"]
        actions = self._actions[tick]
        if mask is not None:
            valid = self._joint.valid(mask)
            mask_out(q, valid)
            actions[...] = self._valid_draws.draw(tick, valid)
        np.copyto(actions, q.argmax(axis=1), where=self._is_greedy[tick], casting="unsafe")
        return {self._path: self._joint.entries(actions)}

    def recorded(self) -> Arrays:
        """``[T, B]`` Q of the chosen action, and the largest Q."""
        # Actions first: NumPy reduces a short last axis four times slower.
        q = np.ascontiguousarray(self._q.reshape(-1, self._n).T)
        actions, shape = self._actions.ravel(), self._actions.shape
        taken = q[actions, np.arange(len(actions))]
        return {Q_TAKEN: taken.reshape(shape), Q_MAX: q.max(axis=0).reshape(shape)}
