"""The stage: B environments of one pool child, played side by side, one session batch at a time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from tinyqueue.data.episodes import EpisodeAccumulator
from tinyqueue.data.identity import new_id
from tinyqueue.data.seeds import generator
from tinyqueue.data.session import Header, SessionBatch
from tinyqueue.data.spaces import Array, Arrays
from tinyqueue.envs.build import make_vector, reset_seeded
from tinyqueue.envs.faults import blaming, failed, is_environments
from tinyqueue.envs.global_draws import seed_global_draws
from tinyqueue.envs.names import import_allowed
from tinyqueue.envs.side_by_side import Faults, SideBySide
from tinyqueue.envs.slot_numbers import first_played
from tinyqueue.envs.spaces import Layout, empty, require_equal
from tinyqueue.experiment.play_spec import PlaySpec
from tinyqueue.player.frames import Frames
from tinyqueue.policy.heads import Head, make_head

_ENVIRONMENTS, _HEAD = 0, 1
# What a generator derived from the stage's seed is for.


class Runner(Protocol):
    """What a stage asks of a policy, as :class:`tinyqueue.policy.runner.PolicyRunner` has it."""

    version: int
    env_steps: int

    @property
    def uses_previous(self) -> bool: ...

    def run(
        self, observations: Arrays, state: Arrays, previous: tuple[Array, Array] | None = None
    ) -> tuple[Arrays, Arrays]: ...


class Stage:
    """Environments that go on from batch to batch, and the buffers that they are recorded in.

    Args:
        spec: What is played.
        user: Broker login of this worker.
        player: Name of this pool child, for people.
        seed: Where every draw of this stage comes from.
        modules: This machine's modules that register environments.
        id: Where a run must be repeatable: exploration by slot depends on the id.
        head: Acts in place of the spec's.

    Raises:
        EnvironmentMismatchError: The environment built here has other spaces than the spec.
        UnknownNameError, ConfigError, MissingExtraError: It cannot be built, or not be played
            with the spec's action head.
        EnvironmentFailedError: It fails whenever it is built, or its first reset.
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
        """Random, new with every stage: 32 hexadecimal digits."""
        self._spec, self._user, self._player, self._seed = spec, user, player, seed
        self._spec_version = spec.version
        self._n = 0
        self._interrupted = False
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
        """True when a batch was begun and not finished: the stage can only be closed."""
        return self._interrupted

    def play(self, runner: Runner, task: str) -> SessionBatch:
        """Plays T ticks; tick 0 goes on from the last row of the batch before.

        Args:
            runner: The policy that chooses every action.
            task: Id of the play task, for the header.

        Returns:
            The next batch of this stage. Its arrays are the stage's own buffers, valid until
            the next call.

        Raises:
            RuntimeError: An earlier call did not return, so that batches would not be contiguous.
            EnvironmentFailedError: A slot failed again and again, or an environment that steps
                all slots at once failed.
        """
        if self._interrupted:
            raise RuntimeError(
                f"stage {self.id} was interrupted while it played batch {self._n}; build a new one."
            )
        self._interrupted = True
        if self._apart:
            self._apart.begin_batch()
        start_s = time.perf_counter()
        carry = self._begin()
        self._head.begin(self._spec.ticks, self._spec.slots, self._rng, runner.env_steps)
        self._play_ticks(runner)
        end_s = time.perf_counter()
        header = self._header(runner.version, task, end_s - start_s)
        batch = self._finish(header, carry, start_s, end_s)
        self._n += 1
        self._interrupted = False
        return batch

    def close(self) -> None:
        """Closes the environments."""
        self._environments.close()

    def _lay_out(self) -> None:
        """Checks the spaces, makes the buffers, and resets the environments into the first row."""
        spec, vector = self._spec, self._environments
        name = spec.environment.id
        self._observed = Layout(vector.single_observation_space, f"the observations of {name}")
        self._acted = Layout(vector.single_action_space, f"the actions of {name}")
        require_equal(f"the observations of {name}", self._observed.space, spec.observations)
        require_equal(f"the actions of {name}", self._acted.space, spec.actions)
        ticks, slots = spec.ticks, spec.slots
        self._frames = Frames(spec.observations, ticks, slots, spec.environment.stack)
        self._actions = empty(spec.actions, ticks, slots)
        (self._action_path,) = self._actions
        self._previous_action_name = "/".join(["previous_action", *filter(None, self._actions)])
        self._rewards = np.zeros((ticks, slots), np.float32)
        self._terminated, self._truncated, self._valid = np.zeros((3, ticks, slots), bool)
        self._ended_last = np.zeros(slots, bool)
        self._previous_action = np.zeros_like(self._actions[self._action_path][0])
        self._previous_reward = np.zeros(slots, np.float32)
        self._state: Arrays = {
            path: np.zeros((slots, *shape), np.float32) for path, shape in spec.state.items()
        }
        self._episodes = EpisodeAccumulator(slots)
        with blaming(name, "reset"):
            first = reset_seeded(vector, self._seed, _ENVIRONMENTS)
        self._observed.write(first, self._frames.rows[-1])
        self._episodes.begin(time.perf_counter())

    def _begin(self) -> Arrays:
        """Moves the last row to the front; returns what came before it.

        An array of zeros for a slot whose row 0 is the first of an episode. At an invalid
        tick 0 ``episode_steps`` is 0 too: the episode of that row is over.
        """
        self._frames.begin()
        carry = {
            "episode_steps": self._episodes.lengths.astype(np.int32),
            self._previous_action_name: self._previous_action,
            "previous_reward": self._previous_reward,
        }
        state = {f"state/{path}": values for path, values in self._state.items()}
        return carry | state | self._frames.before()

    def _play_ticks(self, runner: Runner) -> None:
        run, act, step, apart = runner.run, self._head.act, self._step, self._apart
        unflatten, write, rows = self._acted.unflatten, self._observed.write, self._frames.rows
        actions, rewards = self._actions[self._action_path], self._rewards
        terminated, truncated = self._terminated, self._truncated
        path, state, ended = self._action_path, self._state, self._ended_last.copy()
        before = self._previous_action.copy(), self._previous_reward.copy()
        previous = before if runner.uses_previous else None
        stacks = self._spec.environment.stack > 1
        see = self._frames.seen if stacks else rows.__getitem__
        for tick in range(self._spec.ticks):
            outputs, state = run(see(tick), state, previous)
            action = act(tick, outputs)[path]
            actions[tick] = action
            observed, rewards[tick], terminated[tick], truncated[tick], _ = step(
                unflatten({path: action})
            )
            write(observed, rows[tick + 1])
            if apart and apart.restarted:
                # Their episodes were over a tick ago, and this is the tick of their autoreset.
                truncated[tick - 1, apart.restarted] = True
                ended[apart.restarted] = True
            if previous:
                previous[0][...], previous[1][...] = action, rewards[tick]
            if state or previous or stacks:
                # A slot that had ended before this tick now shows its next episode's first row.
                for values in (*state.values(), *(previous or ())):
                    values[ended] = 0
                if stacks:
                    self._frames.advance(ended)
                ended = terminated[tick] | truncated[tick]
        # The runner's buffers are overwritten by its next run.
        self._state = {name: values.copy() for name, values in state.items()}

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
        last = self._actions[self._action_path][-1]
        mask = valid[-1].reshape((-1,) + (1,) * (last.ndim - 1))
        self._previous_action = np.where(mask, last, np.zeros_like(last))
        self._previous_reward = np.where(valid[-1], self._rewards[-1], np.float32(0))
        return SessionBatch(
            header=header,
            observations=dict(self._frames.observations),
            actions=dict(self._actions),
            rewards=self._rewards,
            terminated=self._terminated,
            truncated=self._truncated,
            valid=valid,
            extras=self._head.recorded(),
            carry=carry,
            episodes=self._episodes.add(self._rewards, ended, valid, start_s, end_s),
        )

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
        )
