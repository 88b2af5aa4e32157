"""The stage: B environments of one pool child, played side by side, one session batch at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tinyqueue.data.episodes import EpisodeAccumulator, Episodes
from tinyqueue.data.identity import new_id
from tinyqueue.data.info_values import InfoAccumulator
from tinyqueue.data.masks import ACTION_MASK
from tinyqueue.data.names import EPISODE_STEPS, PREVIOUS_REWARD, carried_action, carried_state
from tinyqueue.data.seeds import generator, seed32
from tinyqueue.data.session import Header, SessionBatch
from tinyqueue.data.spaces import Array, Arrays
from tinyqueue.envs.build import make_vector, reset_seeded
from tinyqueue.envs.faults import blaming, failed, is_environments
from tinyqueue.envs.global_draws import seed_global_draws
from tinyqueue.envs.info_numbers import read_info, read_infos
from tinyqueue.envs.names import import_allowed
from tinyqueue.envs.side_by_side import Faults, SideBySide
from tinyqueue.envs.slot_numbers import first_played
from tinyqueue.envs.spaces import Layout, action_layout, empty, require_equal
from tinyqueue.experiment.play_spec import PlaySpec
from tinyqueue.player.frame_history import FrameHistory
from tinyqueue.player.scripted import ScriptedRollout, Unrecorded
from tinyqueue.policy.heads import Head, make_head
from tinyqueue.policy.rollout import Rollout, Runner

_ENVIRONMENTS, _HEAD, _POLICY = 0, 1, 2
# Purpose numbers of the generators derived from the stage's seed.


@dataclass
class _Begun:
    """A batch under way: its policy version, what came before it, and the next tick to play."""

    version: int
    carry: Arrays
    start_s: float
    tick: int = 0


class Stage:
    """Environments that continue from batch to batch, and the buffers that they are recorded in.

    Args:
        spec: The experiment spec to play.
        user: Broker login of this worker.
        player: Name of this pool child, for people to read.
        seed: The seed of every draw in this stage.
        modules: This machine's modules that register environments.
        id: Set it only if a run must be repeatable: exploration by slot depends on the id.
        head: An action head to use instead of the spec's, and of its ``policy``.

    Raises:
        EnvironmentMismatchError: The environment built here has other spaces than the spec.
        UnknownNameError, ConfigError, MissingExtraError: It cannot be built, or not be played
            with the spec's action head or ``policy``.
        EnvironmentFailedError: It fails whenever it is built, or its first reset; or the
            constructor of the policy fails.
    """

    def __init__(
        self,
        spec: PlaySpec,
        *,
        user: str,
        player: str,
        seed: int,
        modules: Sequence[str] = (),
        id: str | None = None,
        head: Head | None = None,
    ) -> None:
        self.id = id or new_id()
        """32 hexadecimal digits, drawn at random for every stage."""
        self._spec, self._user, self._player, self._seed = spec, user, player, seed
        self._spec_version = spec.version
        self._n = 0
        self._interrupted = False
        self._under_way: _Begun | None = None
        self._paused_s, self._pauses_s = 0.0, 0.0
        self._scripted = spec.policy if head is None else None
        if self._scripted:
            head = Unrecorded()
        self._head = head or make_head(spec.head, spec.head_config, spec.actions, stage=self.id)
        self._rng = generator(seed, _HEAD)
        import_allowed(modules)
        seed_global_draws(seed)
        self._environments = make_vector(
            spec.environment, spec.slots, first=first_played(spec.slots)
        )
        apart = self._environments
        self._apart = apart if isinstance(apart, SideBySide) else None
        try:
            self._lay_out()
        except BaseException:
            self._environments.close()
            raise

    @property
    def interrupted(self) -> bool:
        """Whether a batch was begun and not finished; then the stage can only be closed."""
        return self._interrupted

    @property
    def is_between_episodes(self) -> bool:
        """Whether the last tick played ended the episode of the first slot."""
        begun = self._under_way
        if begun is None or not begun.tick:
            return bool(self._ended_last[0])
        return bool(self._terminated[begun.tick - 1, 0] or self._truncated[begun.tick - 1, 0])

    def play(self, runner: Runner, task: str) -> SessionBatch:
        """Plays T ticks; tick 0 continues from the last row of the previous batch.

        Args:
            runner: The policy that chooses every action.
            task: Id of the play task, for the header.

        Returns:
            The next batch of this stage. Its arrays are the stage's own buffers, valid until
            the next call.

        Raises:
            RuntimeError: An earlier call did not return, so batches would not be contiguous.
            EnvironmentFailedError: A slot failed repeatedly, or an environment that steps all
                slots at once failed.
        """
        batch = self.play_on(runner, task, lambda: False)
        assert batch is not None
        return batch

    def play_on(
        self, runner: Runner, task: str, may_pause: Callable[[], bool]
    ) -> SessionBatch | None:
        """Plays the rest of a batch, like :meth:`play`, or up to the end of an episode.

        Args:
            runner: Chooses the actions of a batch that begins; one that was paused goes on with
                the policy that it began with.
            task: Id of the play task that ends the batch, for the header.
            may_pause: Called when an episode has ended before the batch is full. If true, the next
                call goes on with this batch, and what was between does not count as time played.

        Returns:
            The batch, or None if it was paused.

        Raises:
            RuntimeError, EnvironmentFailedError: As for :meth:`play`.
        """
        if self._interrupted:
            raise RuntimeError(
                f"stage {self.id} was interrupted while it played batch {self._n}; build a new one."
            )
        self._interrupted = True
        begun = self._under_way or self._begin_batch(runner)
        self._under_way = begun
        self._pauses_s += time.perf_counter() - self._paused_s if begun.tick else 0.0
        begun.tick = self._play_ticks(begun.tick, may_pause)
        if begun.tick < self._spec.ticks:
            self._paused_s = time.perf_counter()
            self._interrupted = False
            return None
        end_s = self._now_s()
        header = self._header(begun.version, task, end_s - begun.start_s)
        batch = self._finish(header, begun.carry, begun.start_s, end_s)
        self._n += 1
        self._under_way = None
        self._interrupted = False
        return batch

    def close(self) -> None:
        """Closes the environments."""
        self._environments.close()

    def _lay_out(self) -> None:
        """Checks the spaces, allocates the buffers, and resets the environments."""
        spec, vector = self._spec, self._environments
        name = spec.environment.id
        self._observed = Layout(vector.single_observation_space, f"the observations of {name}")
        self._acted = action_layout(vector.single_action_space, name)
        require_equal(f"the observations of {name}", self._observed.space, spec.observations)
        require_equal(f"the actions of {name}", self._acted.space, spec.actions)
        ticks, slots = spec.ticks, spec.slots
        self._frames = FrameHistory(spec.observations, ticks, slots, spec.environment.stack)
        self._actions = empty(spec.actions, ticks, slots)
        self._acted_rows = [
            [(path, rows[tick]) for path, rows in self._actions.items()] for tick in range(ticks)
        ]
        shown = self._apart.action_masks if self._apart else None
        self._masks = None if shown is None else np.ones((ticks + 1, *shown.shape), bool)
        self._mask_rows = [None] * ticks if self._masks is None else list(self._masks)
        self._rewards = np.zeros((ticks, slots), np.float32)
        self._terminated, self._truncated, self._valid = np.zeros((3, ticks, slots), bool)
        self._ended_last = np.zeros(slots, bool)
        state = {path: tuple(shape) for path, shape in spec.state.items()}
        self._rollout = self._make_rollout(state)
        self._episodes = EpisodeAccumulator(slots)
        self._info = np.full((ticks, slots, len(spec.info)), np.nan, np.float64)
        self._info_episodes = InfoAccumulator(slots, len(spec.info))
        with blaming(name, "reset"):
            first = reset_seeded(vector, self._seed, _ENVIRONMENTS)
        self._observed.write(first, self._frames.rows[-1])
        if self._masks is not None and self._apart:
            self._masks[-1] = self._apart.action_masks
        self._episodes.begin(self._now_s())

    def _make_rollout(self, state: Mapping[str, tuple[int, ...]]) -> Rollout:
        spec, vector = self._spec, self._environments
        if self._scripted is None:
            return Rollout(spec.actions, state, spec.slots)
        return ScriptedRollout(
            self._scripted,
            (vector.single_observation_space, vector.single_action_space),
            (self._observed, self._acted),
            spec.actions,
            state,
            spec.slots,
            seed32(self._seed, _POLICY),
        )

    def _now_s(self) -> float:
        """The stage's clock, which stands still while a batch is paused."""
        return time.perf_counter() - self._pauses_s

    def _begin_batch(self, runner: Runner) -> _Begun:
        if self._apart:
            self._apart.begin_batch()
        start_s = self._now_s()
        carry = self._begin()
        self._rollout.begin(runner, self._head, self._spec.ticks, self._rng)
        return _Begun(runner.version, carry, start_s)

    def _begin(self) -> Arrays:
        """Moves the last row to the front; returns the carry, what came before that row.

        It is zero for a slot whose row 0 is the first of an episode. At an invalid tick 0
        ``episode_steps`` is zero too: the episode of that row is over.
        """
        self._frames.begin()
        if self._masks is not None:
            self._masks[0] = self._masks[-1]
        rollout = self._rollout
        carry = {
            EPISODE_STEPS: self._episodes.lengths.astype(np.int32),
            PREVIOUS_REWARD: rollout.previous_rewards.copy(),
        }
        actions = {carried_action(p): v.copy() for p, v in rollout.previous_actions.items()}
        state = {carried_state(p): v.copy() for p, v in rollout.state.items()}
        return carry | actions | state | self._frames.before()

    def _play_ticks(self, first: int, may_pause: Callable[[], bool]) -> int:
        """Plays from tick ``first`` on; returns the tick to go on with, T at the batch's end."""
        rollout, act, step, apart = self._rollout, self._rollout.act, self._step, self._apart
        unflatten, write, rows = self._acted.unflatten, self._observed.write, self._frames.rows
        acted_rows, mask_rows, rewards = self._acted_rows, self._mask_rows, self._rewards
        masks = self._masks
        terminated, truncated = self._terminated, self._truncated
        ended = terminated[first - 1] | truncated[first - 1] if first else self._ended_last.copy()
        has_info = bool(self._spec.info)
        stacks, looks_back = self._spec.environment.stack > 1, rollout.looks_back
        sees_stacks = stacks and self._scripted is None
        see = self._frames.seen if sees_stacks else rows.__getitem__
        ticks, pauses = self._spec.ticks, self._spec.environment.realtime
        for tick in range(first, ticks):
            actions = act(tick, see(tick), mask_rows[tick])
            for path, acted in acted_rows[tick]:
                acted[...] = actions[path]
            observed, rewards[tick], terminated[tick], truncated[tick], info = step(
                unflatten(actions)
            )
            write(observed, rows[tick + 1])
            if has_info:
                self._read_info(tick, info)
            if masks is not None and apart:
                masks[tick + 1] = apart.action_masks
            if apart and apart.restarted:
                # Their episodes ended a tick ago, so this is their autoreset tick.
                truncated[tick - 1, apart.restarted] = True
                ended[apart.restarted] = True
            # A slot that had ended before this tick now shows its next episode's first row.
            if looks_back:
                rollout.remember(actions, rewards[tick])
                rollout.forget(ended)
            if stacks:
                self._frames.advance(ended)
            if looks_back or stacks:
                ended = terminated[tick] | truncated[tick]
            if pauses and (terminated[tick, 0] or truncated[tick, 0]) and may_pause():
                return tick + 1
        return ticks

    def _read_info(self, tick: int, info: Any) -> None:
        rows, keys = self._info[tick], self._spec.info
        if self._apart is None:
            read_infos(info, keys, rows)
            return
        for slot, given in enumerate(self._apart.infos):
            read_info(given, keys, rows[slot])

    def _step(self, actions: object) -> tuple[Any, Array, Array, Array, dict[str, Any]]:
        try:
            return self._environments.step(actions)
        except BaseException as error:
            if not is_environments(error):
                raise
            raise failed(error, self._spec.environment.id, "a step of all slots") from error

    def _finish(self, header: Header, carry: Arrays, start_s: float, end_s: float) -> SessionBatch:
        ended = self._terminated | self._truncated
        valid = self._valid
        np.logical_not(self._ended_last, out=valid[0])
        np.logical_not(ended[:-1], out=valid[1:])
        self._ended_last = ended[-1]
        self._rollout.remember(dict(self._acted_rows[-1]), self._rewards[-1])
        self._rollout.forget(~valid[-1])
        extras = self._head.recorded()
        if self._masks is not None:
            extras[ACTION_MASK] = self._masks
        return SessionBatch(
            header=header,
            observations=dict(self._frames.observations),
            actions=dict(self._actions),
            rewards=self._rewards,
            terminated=self._terminated,
            truncated=self._truncated,
            valid=valid,
            extras=extras,
            carry=carry,
            episodes=self._ended_episodes(ended, start_s, end_s),
        )

    def _ended_episodes(self, ended: Array, start_s: float, end_s: float) -> Episodes:
        episodes = self._episodes.add(self._rewards, ended, self._valid, start_s, end_s)
        if not self._spec.info:
            return episodes
        last, mean = self._info_episodes.add(self._info, ended, self._valid)
        return replace(episodes, info_last=last, info_mean=mean)

    def _header(self, policy_version: int, task: str, play_s: float) -> Header:
        faults = self._apart.take_faults() if self._apart else Faults(0, "")
        return Header(
            experiment=self._spec.experiment,
            run=self._spec.run,
            stage=self.id,
            n=self._n,
            user=self._user,
            player=self._player,
            policy_version=policy_version,
            spec_version=self._spec_version,
            task=task,
            seed=self._seed,
            play_s=play_s,
            epsilons=self._head.epsilons,
            faults=faults.number,
            fault=faults.last,
            pace=self._apart.take_pace() if self._apart else None,
        )
