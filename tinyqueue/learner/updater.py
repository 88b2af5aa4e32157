"""Experience in, weight versions out: the part of the learner without broker or store."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinyqueue.algorithms.base import AnyAlgorithm, LossNotFiniteError, Update
from tinyqueue.data.episodes import RunningReturns
from tinyqueue.data.session import SessionBatch
from tinyqueue.data.spaces import Arrays
from tinyqueue.errors import ConfigError, TinyqueueError
from tinyqueue.experience.normalisation import Normalisation, is_of_normalisation
from tinyqueue.experience.source import Taken
from tinyqueue.experiment.experiment import Experiment
from tinyqueue.experiment.play_spec import PlaySpec
from tinyqueue.experiment.users_code import doing
from tinyqueue.policy.graphs import ActingPolicy
from tinyqueue.run.checkpoint import Checkpoint, ReplayState
from tinyqueue.wire.arrays import FRAME_RULE, fits_a_frame
from tinyqueue.wire.weights import WeightVersion


class WeightsNotFiniteError(TinyqueueError):
    """A weight, or a slot of the optimiser, is infinite or NaN: it is neither published nor saved.

    No update makes one so. It means that an algorithm, or a variable of a model, is at fault.
    """


@dataclass
class Clock:
    """Progress of the run. ``env_steps`` is the clock of every schedule and x-axis."""

    env_steps: int = 0
    updates: int = 0
    version: int = -1
    """The newest published weight version; −1 before the first."""
    trained_s: float = 0.0
    """Seconds since the first batch, over all starts of this run."""
    first_mean: float | None = None
    """Mean return of the run's first 100 episodes: progress to the target starts from it."""


@dataclass
class RecentUpdates:
    """Statistics of the last updates."""

    returns: RunningReturns = field(default_factory=RunningReturns)
    metrics: dict[str, float] = field(default_factory=dict)
    policy_lag: float = 0.0
    """Weight versions published between playing a batch and training on it: a running mean."""


class Updater:
    """Updates an algorithm and publishes its weights.

    Args:
        experiment: The experiment.
        algorithm: Its algorithm.
        export: What players need of its policy.
        spec: What players play; kept in every checkpoint.
        clock: The run's clock; advanced here, and set back by :meth:`restore`.
        epoch: Epoch of the learner's lease, stamped on every weight version.
        next_version: Returns strictly increasing version numbers, reserved before use.
        publish: Makes a version visible to players.
        normalisation: Statistics of observations and rewards; None: nothing is normalised.

    Attributes:
        clock: The run's clock.
        recent: Statistics of the last updates.
        algorithm: The algorithm.
    """

    def __init__(
        self,
        experiment: Experiment,
        algorithm: AnyAlgorithm[Any, Any],
        export: ActingPolicy,
        spec: PlaySpec,
        *,
        clock: Clock,
        epoch: int,
        next_version: Callable[[], int],
        publish: Callable[[WeightVersion], None],
        normalisation: Normalisation | None = None,
    ) -> None:
        self._normalisation = normalisation or Normalisation()
        self.clock = clock
        self.recent = RecentUpdates()
        self._experiment = experiment
        self.algorithm = algorithm
        self._export = export
        self._spec = spec
        self._epoch = epoch
        self._next_version = next_version
        self._publish = publish
        self._last_s: float | None = None
        self._published_update = -1

    def update(self, taken: Taken) -> Update | None:
        """Counts what arrived, trains, and publishes a version if one is due.

        The statistics of observations change between updates, never between an update and the
        version that it publishes, and the first ones are there before the first update.

        Args:
            taken: From the source.

        Returns:
            The report of the update; None if there was nothing to train on.

        Raises:
            LossNotFiniteError: The loss is not finite. Nothing has changed, nothing was counted.
            WeightsNotFiniteError: As :meth:`weights`.
        """
        clock = self.clock
        update = None
        statistics = self._normalisation
        is_first = statistics.is_new
        before = statistics.state() if is_first else {}
        if is_first:
            statistics.observe(taken.arrived)
        if taken.experience is not None:
            try:
                experience = statistics.applied(taken.experience)
                with doing(f"in update {clock.updates + 1:,}, at {clock.env_steps:,} env steps"):
                    update = self.algorithm.update(experience, clock.env_steps)
                    _require_update(update)
                    numbers = {name: float(value) for name, value in update.metrics.items()}
            except LossNotFiniteError:
                if is_first:
                    statistics.restore(before)
                raise
            clock.updates += 1
        if not is_first:
            statistics.observe(taken.arrived)
        if taken.arrived and statistics.moves_weights:
            # An evaluation must play what a checkpoint of this moment holds.
            self._published_update = -1
        if update:
            self.recent.metrics = {**numbers, **statistics.numbers()}
        self._count(taken.arrived)
        if update and clock.updates % self._experiment.learner.publish_every_updates == 0:
            self.publish()
        return update

    def _count(self, batches: Sequence[SessionBatch]) -> None:
        clock = self.clock
        for batch in batches:
            clock.env_steps += batch.env_steps
            self.recent.returns.add(batch.episodes)
            lag = clock.version - batch.header.policy_version
            self.recent.policy_lag += 0.02 * (lag - self.recent.policy_lag)
        if clock.first_mean is None and self.recent.returns.is_full:
            clock.first_mean = self.recent.returns.mean_return
        now_s = time.monotonic()
        clock.trained_s += 0.0 if self._last_s is None else now_s - self._last_s
        self._last_s = now_s

    def is_sound(self, experience: Any, env_steps: int) -> bool | None:
        """Whether an update would be finite; see :meth:`Algorithm.is_sound`."""
        return self.algorithm.is_sound(self._normalisation.applied(experience), env_steps)

    def publish(self) -> WeightVersion:
        """Publishes the current weights under the next version number.

        Raises:
            WeightsNotFiniteError: As :meth:`weights`.
        """
        weights = self.weights(self._next_version())
        # First: a player may have played it before the store has answered.
        self.clock.version = weights.version
        self._publish(weights)
        self._published_update = self.clock.updates
        return weights

    def publish_if_changed(self) -> None:
        """Publishes the current weights unless the newest version has them, for an evaluation."""
        if self._published_update != self.clock.updates:
            self.publish()

    def weights(self, version: int) -> WeightVersion:
        """The current acting weights under a version number; nothing is published.

        Raises:
            WeightsNotFiniteError: One of them is infinite or NaN.
        """
        with doing(f"for the weights of policy version {version:,}"):
            arrays = self._export.arrays(version)
        require_finite(arrays)
        return WeightVersion(
            version=version,
            epoch=self._epoch,
            run=self._spec.run,
            updates=self.clock.updates,
            env_steps=self.clock.env_steps,
            graph_sha256=self._export.sha256,
            arrays=arrays,
        )

    def checkpoint(self, replay: ReplayState) -> Checkpoint:
        """Everything needed to continue from here, in memory.

        Args:
            replay: The experience's part.

        Raises:
            WeightsNotFiniteError: A number in it is infinite or NaN.
            ConfigError: The algorithm's state has an array that no checkpoint can hold.
        """
        clock = self.clock
        with doing(f"for the checkpoint at {clock.env_steps:,} env steps"):
            state = _copied(self.algorithm.state())
            _require_savable(state)
        state |= self._normalisation.state()
        require_finite(state)
        return Checkpoint(
            env_steps=clock.env_steps,
            updates=clock.updates,
            version=clock.version,
            weights=self._export.arrays(clock.version),
            state=state,
            graph=self._export.graph,
            spec=self._spec.model_dump(),
            clock={"trained_s": clock.trained_s, "first_mean": clock.first_mean},
            replay=replay,
        )

    def restore(self, checkpoint: Checkpoint) -> None:
        """Restores a checkpoint's weights, optimiser and clock. Version numbers keep increasing.

        Raises:
            CheckpointError: It was trained with another environment, model or optimiser.
        """
        checkpoint.require_same(self._spec.model_dump())
        state = checkpoint.state
        with doing(f"in restoring the checkpoint at {checkpoint.env_steps:,} env steps"):
            self.algorithm.restore({k: v for k, v in state.items() if not is_of_normalisation(k)})
        self._normalisation.restore(state)
        clock = self.clock
        clock.env_steps = checkpoint.env_steps
        clock.updates = checkpoint.updates
        clock.version = checkpoint.version
        clock.trained_s = float(checkpoint.clock.get("trained_s", 0.0))
        clock.first_mean = checkpoint.clock.get("first_mean")


def _require_update(update: object) -> None:
    if not isinstance(update, Update):
        raise ConfigError(
            f"the algorithm's update() returned a {type(update).__name__}; it must return a "
            "tinyqueue.algorithms.base.Update."
        )


def _require_savable(state: Arrays) -> None:
    for name, array in state.items():
        if not fits_a_frame(array):
            raise ConfigError(
                f"the algorithm's state() has {name!r}, {array.dtype} {array.shape}, which a "
                f"checkpoint cannot hold: {FRAME_RULE}. Leave empty arrays out."
            )


def require_finite(arrays: Arrays) -> None:
    """Returns if every number is finite.

    Raises:
        WeightsNotFiniteError: One is not.
    """
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise WeightsNotFiniteError(
                f"the weights are not finite any more: {name} holds NaN or infinity. They are "
                "neither published nor saved. Resume from the last checkpoint with a smaller "
                "algorithm.learning_rate."
            )


def _copied(arrays: Arrays) -> Arrays:
    return {name: array.copy() for name, array in arrays.items()}
