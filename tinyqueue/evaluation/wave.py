"""One game in each slot of a table, played in parallel until all are over."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tinyqueue.data.spaces import Array, Arrays
from tinyqueue.envs.faults import blaming
from tinyqueue.evaluation.table import Table
from tinyqueue.experiment.environment import EnvironmentConfig
from tinyqueue.policy.heads import Head
from tinyqueue.policy.rollout import Rollout, Stacks
from tinyqueue.policy.runner import PolicyRunner

_STRETCH = 16
# Ticks for which a head draws its noise, and between two calls of on_progress. Slots whose game
# is over leave the network's batch at the end of a stretch: binding a new size costs as much as a
# few runs.

Watch = Callable[[Arrays, Array, Array | None], None]
"""Called before the environments step, with the tick's network outputs, ``[B, …]``; ``[B]`` bool:
whether the slot's game is still on; and ``[B, n]`` action masks, if there are any. The outputs are
overwritten afterwards."""


class Wave:
    """One game in each of the first slots of a table.

    Attributes:
        playing: Indices of the slots whose game is not over.
        returns, lengths: ``[games]`` return and env steps of every game so far.
        capped: ``[games]`` bool, whether the game was ended at ``max_steps``.
    """

    def __init__(
        self,
        table: Table,
        runner: PolicyRunner,
        head: Head,
        games: int,
        environment: EnvironmentConfig,
        watch: Watch | None,
        max_steps: int,
    ) -> None:
        self._table, self._runner, self._head = table, runner, head
        self._name, self._watch, self._max_steps = environment.id, watch, max_steps
        self.capped = np.zeros(games, bool)
        self.playing = np.arange(games)
        self.returns, self.lengths = np.zeros(games), np.zeros(games, np.int32)
        self._rollout = Rollout(table.actions.space, runner.state_shapes, games)
        self._stacks = Stacks(table.observations.space, games, environment.stack)

    def play_stretch(self, rng: np.random.Generator) -> None:
        """Plays a few ticks, or until every game is over."""
        slots, rollout = self.playing, self._rollout
        rollout.begin(self._runner, self._head, _STRETCH, rng)
        on, rewards = np.ones(len(slots), bool), np.zeros(len(slots), np.float32)
        for tick in range(_STRETCH):
            frames = {path: rows[slots] for path, rows in self._table.rows.items()}
            begun = self._table.begun[slots]
            if begun.any():
                rollout.forget(begun)
            masks = self._table.masks
            mask = None if masks is None else masks[slots]
            actions = rollout.act(tick, self._stacks.push(frames, begun), mask)
            playing = slots[on]
            if self._watch:
                self._watch(rollout.outputs, on, mask)
            with blaming(self._name, "step"):
                rewards[on], ended = self._table.step(
                    playing, {path: values[on] for path, values in actions.items()}
                )
            rollout.remember(actions, rewards)
            self.returns[playing] += rewards[on]
            self.lengths[playing] += 1
            beyond = ~ended & (self.lengths[playing] >= self._max_steps)
            self.capped[playing] = beyond
            ended |= beyond
            on[on] = ~ended
            if ended.all():
                break
        self.playing = slots[on]
        rollout.keep(on)
        self._stacks.keep(on)
