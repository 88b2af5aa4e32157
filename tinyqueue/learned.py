"""Acting with what a run has learned: plain arrays and an ONNX graph, without TensorFlow."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from pydantic import ValidationError

from tinyqueue.data.masks import checked_mask, mask_counts
from tinyqueue.data.names import action_input
from tinyqueue.data.native import Border, Keys, Native, nested
from tinyqueue.data.spaces import Array, Arrays, Leaf, Space
from tinyqueue.errors import CheckpointError, EnvironmentMismatchError
from tinyqueue.experiment.play_spec import PlaySpec, of_today
from tinyqueue.experiment.validation import explained
from tinyqueue.policy.heads import greedy_head
from tinyqueue.policy.rollout import Rollout, Stacks
from tinyqueue.policy.runner import PolicyRunner
from tinyqueue.policy.sample import is_sample, read_sample
from tinyqueue.run.checkpoint import Checkpoint, read_version
from tinyqueue.run.checkpoints import CheckpointReader

_FRAMES = "frames:"

Observations = Mapping[str, Any] | tuple[Any, ...]
"""An observation of a Dict or Tuple space, nested or by path."""

Action = int | Array | Mapping[str, Any] | tuple[Any, ...]
"""An int for a Discrete space, an array ``[*act]`` for others; nested for a Dict or Tuple."""


class Policy(Protocol):
    """What a checkpoint and a sample both hold.

    Attributes:
        graph: The acting half as ONNX, without its weights.
        weights: Variable path → array.
        spec: A PlaySpec as plain tables.
        version: The newest weight version when these weights were saved.
        env_steps: Env steps of the run by then.
    """

    @property
    def graph(self) -> bytes:
        """The acting half as ONNX, without its weights."""

    @property
    def weights(self) -> Arrays:
        """Variable path → array."""

    @property
    def spec(self) -> Mapping[str, Any]:
        """A PlaySpec as plain tables."""

    @property
    def version(self) -> int:
        """The newest weight version when these weights were saved."""

    @property
    def env_steps(self) -> int:
        """Env steps of the run by then."""


class Learned:
    """The policy of a checkpoint, or of a sample.

    Attributes:
        spec: The environment, spaces and action head it was trained for.
        version: The newest weight version when these weights were saved.
        env_steps: Env steps of the run by then.
        runner: Runs the acting graph on a batch.
    """

    def __init__(self, policy: Policy) -> None:
        self.spec = PlaySpec.model_validate(of_today(policy.spec))
        self.version = policy.version
        self.env_steps = policy.env_steps
        self.runner = PolicyRunner(policy.graph, policy.weights, policy.version, policy.env_steps)
        self._greedy = greedy_head(self.spec.head, self.spec.actions)
        self._rng = np.random.default_rng(0)

    def act(
        self,
        observation: Array | int | Observations,
        state: Arrays | None = None,
        reward: float = 0.0,
        mask: Any = None,
    ) -> tuple[Action, Arrays]:
        """The greedy action for one observation.

        Args:
            observation: One observation of the environment, without a batch axis, nested as in
                its Dict or Tuple space, or a mapping from path to array. Dropped parts may be
                included or not.
            state: What the previous call returned; None begins an episode.
            reward: The reward of the previous action, for policies that observe it.
            mask: The valid actions, from the environment's info, for a run with
                ``environment.action_mask = "info:…"``. A mask that is part of the observation is
                taken from there.

        Returns:
            The action, in the environment's own space, and the state for the next call. The state
            holds the recurrent state, ``[1, …]`` per path; if the policy observes it, this action
            as ``previous:action`` (``previous:action/<path>`` for a Dict or Tuple space); and the
            stack ``[1, k, *frame]`` as ``frames:<path>`` if the policy observes k frames at once.

        Raises:
            EnvironmentMismatchError: The observation or the mask does not fit the environment that
                the policy was trained with.
        """
        given = dict(by_path(observation))
        frames = {path: self._row(path, given) for path in self.spec.observations}
        rollout = Rollout(self.spec.actions, self.runner.state_shapes, 1)
        stacks = Stacks(self.spec.observations, 1, self.spec.environment.stack)
        if state is not None:
            _recall(rollout, stacks, state, reward)
        rollout.begin(self.runner, self._greedy, 1, self._rng)
        seen = stacks.push(frames, np.array([state is None]))
        actions = rollout.act(0, seen, self._mask(mask, given))
        kept = dict(rollout.state)
        if self.runner.uses_previous:
            kept |= {action_input(path): values.copy() for path, values in actions.items()}
        kept |= {f"{_FRAMES}{path}": stack for path, stack in stacks.frames.items()}
        return _of_one(actions, self.spec.actions), kept

    def _mask(self, mask: Any, observation: Mapping[str, Any]) -> Array | None:
        """``[1, n]`` bool; None for a run without masks."""
        environment = self.spec.environment
        if environment.action_mask is None:
            return None
        found = observation.get(environment.mask_path or "") if environment.mask_path else mask
        counts = mask_counts(self.spec.actions)
        try:
            return checked_mask(found, counts)[None]
        except ValueError as error:
            where = (
                f"of the observation, at {environment.mask_path!r},"
                if environment.mask_path
                else f"given as mask=info[{environment.mask_key!r}]"
            )
            raise EnvironmentMismatchError(f"the action mask {where} {error}.") from None

    def _row(self, path: str, observation: Mapping[str, Any]) -> Array:
        """``[1, *frame]`` in the policy's dtype."""
        leaf = self.spec.observations[path]
        if path not in observation:
            raise EnvironmentMismatchError(
                f"the observation has no {path or 'plain array'!r}, which the policy was trained "
                f"on; it has {', '.join(map(repr, observation))}."
            )
        row = np.asarray(observation[path])
        if leaf.native:
            row = Border(leaf.native, leaf.shape).given(row)
        row = row.astype(leaf.dtype)
        if row.shape != leaf.shape:
            raise EnvironmentMismatchError(
                f"the observation{f' {path}' if path else ''} is an array of {row.shape}, but the "
                f"policy was trained on {leaf.shape} of {self.spec.environment.model_dump()}. "
                "Build it: tinyqueue.envs.build.make_environment(learned.spec.environment)."
            )
        return row[None]


def load(
    run: Path | str,
    *,
    checkpoint: Path | None = None,
    version: int | None = None,
    best: bool = False,
) -> Learned:
    """Loads what a run has learned.

    Args:
        run: A run directory, which may still be training, or a sample: a folder made by
            ``tinyqueue export``.
        checkpoint: One of its checkpoint folders, by path or name; by default the newest complete
            one.
        version: Load the checkpoint that holds this weight version.
        best: Load the checkpoint of the best evaluation.

    Raises:
        CheckpointError: There is no such checkpoint, or the checkpoint or sample is damaged.
    """
    run = Path(os.path.expanduser(run))
    if is_sample(run):
        if checkpoint is not None or version is not None or best:
            raise CheckpointError(
                f"{run} is a sample: it holds one policy and no checkpoints to choose from. Leave "
                "out the choice, or give a run directory."
            )
        return _of_sample(run)
    return Learned(load_checkpoint(run, checkpoint=checkpoint, version=version, best=best))


def load_checkpoint(
    run: Path | str,
    *,
    checkpoint: Path | None = None,
    version: int | None = None,
    best: bool = False,
) -> Checkpoint:
    """The checkpoint that :func:`load` would load, with the same arguments and errors."""
    folder = Path(run) / "checkpoints"
    reader = CheckpointReader(folder)
    if checkpoint is not None:
        return reader.load(_named(reader, checkpoint))
    if version is not None:
        return _of_version(reader, version)
    found = reader.best() if best else reader.newest()
    if found is None:
        raise CheckpointError(
            f"{folder} holds no {'evaluated ' if best else ''}checkpoint. "
            f"Give a run directory, such as runs/<experiment>/<number>, that has been trained."
        )
    return found


def load_each(run: Path | str, on_damaged: Callable[[str], None]) -> Iterator[Learned]:
    """What a run had learned at each of its kept checkpoints, from the oldest to the newest.

    One is in memory at a time. Of several with the same weights only the first is loaded;
    checkpoints that the learner removes meanwhile are skipped.

    Args:
        run: A run directory.
        on_damaged: Called with a text for every checkpoint skipped because it is damaged.

    Raises:
        CheckpointError: There is none, or ``run`` is a sample.
    """
    if is_sample(Path(run)):
        raise CheckpointError(f"{run} is a sample: it holds one policy and no checkpoints.")
    reader = CheckpointReader(Path(run) / "checkpoints")
    seen = set()
    for path in reader.paths():
        try:
            checkpoint = reader.load(path)
        except CheckpointError as error:
            if path.exists():
                on_damaged(str(error))
            continue
        if checkpoint.updates not in seen:
            seen.add(checkpoint.updates)
            yield Learned(checkpoint)
    if not seen:
        load_checkpoint(run)  # Raises an error that says what is wrong.


def by_path(observation: Any, at: str = "") -> Iterator[tuple[str, Any]]:
    """The path and value of every part of an observation, nested in dicts and tuples or plain."""
    if isinstance(observation, Mapping):
        parts = list(observation.items())
    elif isinstance(observation, tuple):
        parts = [(str(index), part) for index, part in enumerate(observation)]
    else:
        yield at, observation
        return
    for key, part in parts:
        yield from by_path(part, f"{at}/{key}" if at else key)


def _recall(rollout: Rollout, stacks: Stacks, state: Arrays, reward: float) -> None:
    """Restores what :meth:`Learned.act` returned."""
    for path, values in rollout.state.items():
        values[...] = state[path]
    for path, values in rollout.previous_actions.items():
        values[...] = state.get(action_input(path), 0)
    rollout.previous_rewards[...] = reward
    for path, frames in stacks.frames.items():
        frames[...] = state.get(f"{_FRAMES}{path}", 0)


def _of_one(actions: Arrays, space: Space) -> Action:
    """The action of a batch of one, as its environment takes it."""
    action: Action = nested(_own(path, leaf, actions[path][0]) for path, leaf in space.items())
    return action


def _own(path: str, leaf: Leaf, values: Array) -> tuple[Keys, int | Array]:
    """One leaf of an action, and where it is in the whole."""
    # Specs written before ``native`` existed have values that travel unchanged.
    native = leaf.native or Native(tuple(path.split("/")) if path else (), leaf.dtype)
    own = Border(native, leaf.shape).native(values)
    return native.keys, int(own) if leaf.is_discrete and not leaf.shape else own


def _of_sample(folder: Path) -> Learned:
    try:
        sample = read_sample(folder)
        # A later version's spec must be refused: without its new keys it is another environment.
        PlaySpec.model_validate(sample.spec)
        return Learned(sample)
    except ValidationError as error:
        raise CheckpointError(
            f"{folder}: its spec is not one that this tinyqueue can play: "
            f"{explained(error, PlaySpec, 'spec')} Use the tinyqueue version in the manifest."
        ) from error


def _named(reader: CheckpointReader, checkpoint: Path) -> Path:
    """The path of a checkpoint of this run; another run's may be of another environment."""
    path = reader.directory / checkpoint.name
    is_named = checkpoint == Path(checkpoint.name) or checkpoint.resolve() == path.resolve()
    if is_named and path.is_dir():
        return path
    there = ", ".join(kept.name for kept in reader.paths()) or "none"
    raise CheckpointError(f"{checkpoint} is not in {reader.directory}; kept checkpoints: {there}.")


def _of_version(reader: CheckpointReader, version: int) -> Checkpoint:
    versions = {path: read_version(path) for path in reader.paths()}
    for path, kept in versions.items():
        # The first of several: the others are further ahead of the published weights.
        if kept == version:
            return reader.load(path)
    there = ", ".join(str(kept) for kept in versions.values() if kept is not None) or "none"
    raise CheckpointError(
        f"no checkpoint in {reader.directory} holds version {version}; kept versions: {there}."
    )
