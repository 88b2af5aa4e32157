"""Games of one policy, many side by side, of which the first episode of each slot counts.

Taking the first of each slot, in waves, keeps short episodes from being over-represented:
with "the first N to finish" a policy that sometimes fails early would look worse than it is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np

from tinyqueue.data.seeds import generator
from tinyqueue.data.spaces import Array, Arrays, Space
from tinyqueue.envs.global_draws import global_draws
from tinyqueue.envs.names import import_allowed
from tinyqueue.envs.spaces import require_equal
from tinyqueue.evaluation.table import Table, make_table
from tinyqueue.experiment.environment import EnvironmentConfig
from tinyqueue.policy.heads import Head
from tinyqueue.policy.runner import PolicyRunner
from tinyqueue.policy.seen import unseen, with_newest

_ENVIRONMENTS, _HEAD = 0, 1
# What a generator derived from the seed is for.

_STRETCH = 16
# Ticks for which a head draws its noise, and between two calls of on_progress. Slots whose game
# is over leave the network's batch at the end of a stretch: binding another size costs as much
# as a few runs.

Watch = Callable[[Arrays, Array], None]
"""Takes a tick's network outputs, ``[B, …]``, and ``[B]`` bool: whose game is still on. Called
before the head acts; the outputs are overwritten afterwards."""


@dataclass(frozen=True)
class Games:
    """Finished games, in the order of their seeds.

    Attributes:
        returns: ``[E]`` float32, undiscounted sum of the environment's own rewards.
        lengths: ``[E]`` int32, env steps.
        seconds: Wall time of all of them.
    """

    returns: Array
    lengths: Array
    seconds: float


def play_games(
    environment: EnvironmentConfig,
    runner: PolicyRunner,
    head: Head,
    *,
    episodes: int,
    slots: int,
    seed: int,
    modules: Sequence[str] = (),
    spaces: tuple[Space, Space] | None = None,
    on_progress: Callable[[int], None] | None = None,
    table: Table | None = None,
    watch: Watch | None = None,
) -> Games:
    """Plays ``episodes`` whole games in waves of at most ``slots`` side by side.

    Args:
        environment: What is played.
        runner: The pinned policy.
        head: How it acts; a greedy one for the games that decide.
        episodes, slots: Both at least 1.
        seed: Where every draw comes from: the same seed gives the same games.
        modules: This machine's modules that register environments.
        spaces: Observations and actions that the policy was trained with, to be held against
            those of the environment.
        on_progress: Told the number of finished games every few ticks. What it raises ends
            the games.
        table: Environments to play in instead of new ones; left open, for more games.
        watch: Shown every state that a game acts in, such as by :class:`MaxQ`.

    Raises:
        UnknownNameError, ConfigError, MissingExtraError: The environment cannot be built.
        EnvironmentMismatchError: It is not the one that the policy was trained with.
        EnvironmentFailedError: It failed, in being built or in a game.
    """
    start_s = time.perf_counter()
    given = table
    drawn = ExitStack()
    drawn.enter_context(global_draws(seed))
    if table is None:
        import_allowed(modules)
        table = make_table(environment, min(slots, episodes))
    rng = generator(seed, _HEAD)
    returns, lengths = np.zeros(episodes), np.zeros(episodes, np.int32)
    try:
        if spaces:
            _require_spaces(environment.id, table, *spaces)
        for first in range(0, episodes, table.slots):
            games = min(table.slots, episodes - first)
            table.reset(games, seed, _ENVIRONMENTS, first)
            wave = _Wave(table, runner, head, games, environment.stack, watch)
            while wave.playing.size:
                wave.play_stretch(rng)
                if on_progress:
                    on_progress(first + games - wave.playing.size)
            returns[first : first + games] = wave.returns
            lengths[first : first + games] = wave.lengths
    finally:
        if given is None:
            table.close()
        drawn.close()
    return Games(returns.astype(np.float32), lengths, time.perf_counter() - start_s)


class _Wave:
    """One game in each of the first slots of a table.

    Attributes:
        playing: Slots whose game is not over.
        returns, lengths: Score of every game so far.
    """

    def __init__(
        self,
        table: Table,
        runner: PolicyRunner,
        head: Head,
        games: int,
        stack: int,
        watch: Watch | None,
    ) -> None:
        self._table, self._runner, self._head = table, runner, head
        self._watch = watch
        self.playing = np.arange(games)
        self.returns, self.lengths = np.zeros(games), np.zeros(games, np.int32)
        self._state: Arrays = {
            path: np.zeros((games, *shape), np.float32)
            for path, shape in runner.state_shapes.items()
        }
        before = np.zeros(games, np.int64), np.zeros(games, np.float32)
        self._previous = before if runner.uses_previous else None
        self._stacks = unseen(table.observations.space, games, stack)

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
            actions = self._head.act(tick, outputs)
            rewards, ended = self._table.step(playing, actions[on])
            if previous:
                previous[0][...], previous[1][on] = actions, rewards
            self.returns[playing] += rewards
            self.lengths[playing] += 1
            on[on] = ~ended
            if ended.all():
                break
        self.playing = slots[on]
        self._state = {path: values[on] for path, values in state.items()}
        self._previous = (previous[0][on], previous[1][on]) if previous else None
        self._stacks = {path: frames[on] for path, frames in stacks.items()}


def _require_spaces(name: str, table: Table, observations: Space, actions: Space) -> None:
    require_equal(f"the observations of {name}", table.observations.space, observations)
    require_equal(f"the actions of {name}", table.actions.space, actions)
