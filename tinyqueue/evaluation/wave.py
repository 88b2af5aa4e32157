"""One game in each slot of a table, side by side until all are over."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tinyqueue.data.spaces import Array, Arrays
from tinyqueue.envs.faults import blaming
from tinyqueue.evaluation.table import Table
from tinyqueue.experiment.environment import EnvironmentConfig
from tinyqueue.policy.heads import Head
from tinyqueue.policy.runner import PolicyRunner
from tinyqueue.policy.seen import unseen, with_newest

_STRETCH = 16
# Ticks for which a head draws its noise, and between two calls of on_progress. Slots whose game
# is over leave the network's batch at the end of a stretch: binding another size costs as much
# as a few runs.

Watch = Callable[[Arrays, Array], None]
"""Takes a tick's network outputs, ``[B, …]``, and ``[B]`` bool: whose game is still on. Called
before the head acts; the outputs are overwritten afterwards."""


class Wave:
    """One game in each of the first slots of a table.

    Attributes:
        playing: Slots whose game is not over.
        returns, lengths: Score of every game so far.
        capped: ``[games]`` bool, whether it was ended at ``max_steps``.
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
        self._state: Arrays = {
            path: np.zeros((games, *shape), np.float32)
            for path, shape in runner.state_shapes.items()
        }
        before = np.zeros(games, np.int64), np.zeros(games, np.float32)
        self._previous = before if runner.uses_previous else None
        self._stacks = unseen(table.observations.space, games, environment.stack)

    def play_stretch(self, rng: np.random.Generator) -> None:
        """Plays on for a few ticks, or until every game is over."""
        slots, state, previous = self.playing, self._state, self._previous
        stacks = self._stacks
        self._head.begin(_STRETCH, len(slots), rng, self._runner.env_steps)
        on = np.ones(len(slots), bool)
        for tick in range(_STRETCH):
            frames = {path: rows[slots] for path, rows in self._table.rows.items()}
            begun = self._table.begun[slots]
            if begun.any():
                for values in (*state.values(), *(previous or ())):
                    values[begun] = 0
            seen = with_newest(stacks, frames, begun)
            stacks = seen if stacks else stacks
            outputs, state = self._runner.run(seen, state, previous)
            playing = slots[on]
            if self._watch:
                self._watch(outputs, on)
            (actions,) = self._head.act(tick, outputs).values()
            with blaming(self._name, "step"):
                rewards, ended = self._table.step(playing, actions[on])
            if previous:
                previous[0][...], previous[1][on] = actions, rewards
            self.returns[playing] += rewards
            self.lengths[playing] += 1
            beyond = ~ended & (self.lengths[playing] >= self._max_steps)
            self.capped[playing] = beyond
            ended |= beyond
            on[on] = ~ended
            if ended.all():
                break
        self.playing = slots[on]
        self._state = {path: values[on] for path, values in state.items()}
        self._previous = (previous[0][on], previous[1][on]) if previous else None
        self._stacks = {path: frames[on] for path, frames in stacks.items()}
