"""Evaluation episodes ("games") of one policy, played in parallel, in waves.

A wave plays one episode in each slot. This keeps short episodes from being over-represented: with
"the first N to finish", a policy that sometimes fails early would look worse than it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import structlog

from tinyqueue.data.seeds import generator
from tinyqueue.data.spaces import Space
from tinyqueue.envs.atari import limit_frames
from tinyqueue.envs.faults import blaming
from tinyqueue.envs.global_draws import global_draws
from tinyqueue.envs.names import find_environment, import_allowed
from tinyqueue.envs.paced import prepare_process
from tinyqueue.envs.spaces import require_equal
from tinyqueue.errors import EnvironmentFailedError
from tinyqueue.evaluation.score import MOST_STEPS, Games, Limits, Score
from tinyqueue.evaluation.table import Table, make_table
from tinyqueue.evaluation.wave import Watch, Wave
from tinyqueue.experiment.environment import EnvironmentConfig
from tinyqueue.policy.heads import Head
from tinyqueue.policy.runner import PolicyRunner

_ENVIRONMENTS, _HEAD = 0, 1
# Purposes of the generators derived from the seed.

__all__ = ["Games", "Limits", "Score", "Watch", "most_steps", "play_games"]

log = structlog.get_logger(__name__)

_LIMITS = Limits()

_MOST_IN_A_ROW = 5
# After this many failures in a row, the environment is considered broken.


def most_steps(environment: EnvironmentConfig, without: int = MOST_STEPS) -> int:
    """Env steps at which a game is ended: the environment's own limit, or else ``without``."""
    if environment.atari:
        return math.ceil(limit_frames(environment) / environment.atari.frame_skip)
    own = environment.max_episode_steps or find_environment(environment.id).max_episode_steps
    return own or without


def play_games(  # noqa: PLR0913  # ten are by name, of which seven have defaults
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
    limits: Limits = _LIMITS,
    score: Score | None = None,
) -> Games:
    """Plays ``episodes`` whole games in waves of at most ``slots`` in parallel.

    When the environment fails, the games of that wave are played again, one at a time, each in a
    new environment; one that fails then is played again with the next seed. So a simulator that
    crashes now and then can still be evaluated.

    Args:
        environment: What is played.
        runner: The pinned policy.
        head: How it acts; a greedy one for evaluations that decide.
        episodes, slots: Both at least 1. An environment that owns its clock plays one at a time.
        seed: Seed of everything random: the same seed gives the same games.
        modules: This machine's modules that register environments.
        spaces: Observation and action space that the policy was trained with, to compare with
            those of the environment.
        on_progress: Called with the number of finished games every few ticks. An exception that it
            raises ends the games.
        table: Environments to play in instead of new ones. They stay open, for more games.
        watch: Called for every state that a game acts in, such as a :class:`MaxQ`.
        limits: What ends games that do not end by themselves.
        score: Counts games as they finish, for callers that may be interrupted.

    Returns:
        What was played.

    Raises:
        UnknownNameError, ConfigError, MissingExtraError: The environment cannot be built.
        EnvironmentMismatchError: It is not the one that the policy was trained with.
        EnvironmentFailedError: It failed several times in a row, or in a given ``table``.
    """
    import_allowed(modules)
    if environment.realtime:
        # Side by side, each would be held while the others are stepped.
        slots = 1
        prepare_process()
    score = Score() if score is None else score
    score.begin(episodes, most_steps(environment, limits.max_steps), limits.timeout_s)
    match = _Match(environment, runner, head, seed, score, on_progress, watch, spaces)
    with global_draws(seed):
        if table is not None:
            match.play(table, 0, episodes)
            return score.games()
        failed = match.play_together(min(slots, episodes), episodes)
        if failed is not None and not score.is_over:
            match.play_singly(failed)
    return score.games()


class _Match:
    """Plays the waves of one call of :func:`play_games`."""

    def __init__(
        self,
        environment: EnvironmentConfig,
        runner: PolicyRunner,
        head: Head,
        seed: int,
        score: Score,
        on_progress: Callable[[int], None] | None,
        watch: Watch | None,
        spaces: tuple[Space, Space] | None,
    ) -> None:
        self._environment, self._runner, self._head = environment, runner, head
        self._seed, self._score = seed, score
        self._on_progress, self._watch, self._spaces = on_progress, watch, spaces
        self._rng = generator(seed, _HEAD)

    @contextmanager
    def opened(self, slots: int) -> Iterator[Table]:
        """A table of the environments. Errors in closing them are only logged."""
        name = self._environment.id
        with blaming(name, "being built"):
            table = make_table(self._environment, slots)
        try:
            yield table
        finally:
            try:
                table.close()
            except Exception as error:
                log.warning("an environment failed while closing", environment=name, error=error)

    def play_together(self, slots: int, episodes: int) -> int | None:
        """Plays waves until the environment fails.

        Returns:
            The first game of the wave in which it failed; None if it did not.
        """
        first = 0
        try:
            with self.opened(slots) as table:
                for first in range(0, episodes, table.slots):
                    if self._score.is_over:
                        break
                    self.play(table, first, min(table.slots, episodes - first))
        except EnvironmentFailedError as error:
            self._score.failed(error)
            return first
        return None

    def play_singly(self, first: int) -> None:
        """Plays game ``first`` and all later ones one at a time.

        Raises:
            EnvironmentFailedError: One of them failed several times in a row.
        """
        in_a_row, game = 0, first
        while game < self._score.asked and not self._score.is_over:
            try:
                with self.opened(1) as table:
                    while game < self._score.asked and not self._score.is_over:
                        self.play(table, game, 1, attempt=in_a_row)
                        in_a_row, game = 0, game + 1
            except EnvironmentFailedError as error:
                self._score.failed(error)
                in_a_row += 1
                if in_a_row >= _MOST_IN_A_ROW:
                    raise

    def play(self, table: Table, first: int, episodes: int, attempt: int = 0) -> None:
        """Plays games ``first`` … ``first + episodes − 1`` in a table, in waves."""
        if self._spaces:
            _require_spaces(self._environment.id, table, *self._spaces)
        if self._environment.realtime:
            self._runner.warm_up(table.slots, table.actions.space)
        for start in range(first, first + episodes, table.slots):
            self._play_wave(table, start, min(table.slots, first + episodes - start), attempt)

    def _play_wave(self, table: Table, first: int, games: int, attempt: int) -> None:
        score, environment = self._score, self._environment
        with blaming(environment.id, "reset"):
            table.reset(games, self._seed, _ENVIRONMENTS, first, *([attempt] if attempt else []))
        wave = Wave(
            table,
            self._runner,
            self._head,
            games,
            environment,
            self._watch,
            score.max_steps,
        )
        score.watch(wave)
        before = len(score.returns)
        while wave.playing.size:
            wave.play_stretch(self._rng)
            if self._on_progress:
                self._on_progress(before + games - wave.playing.size)
            if score.is_over:
                break
        score.take(wave)
        if (pace := table.take_pace()) is not None:
            score.paces.append(pace)


def _require_spaces(name: str, table: Table, observations: Space, actions: Space) -> None:
    require_equal(f"the observations of {name}", table.observations.space, observations)
    require_equal(f"the actions of {name}", table.actions.space, actions)
