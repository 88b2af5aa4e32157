"""Experience in, weight versions out: the part of the learner that knows no broker and no store."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tinyqueue.algorithms.base import Algorithm, Update
from tinyqueue.data.episodes import RunningReturns
from tinyqueue.data.session import SessionBatch
from tinyqueue.data.spaces import Arrays
from tinyqueue.experience.source import Taken
from tinyqueue.experiment.experiment import Experiment
from tinyqueue.experiment.play_spec import PlaySpec
from tinyqueue.policy.export import PolicyExport
from tinyqueue.run.checkpoint import Checkpoint, ReplayState
from tinyqueue.wire.weights import WeightVersion


@dataclass
class Clock:
    """How far the run has come. ``env_steps`` is the clock of every schedule and x-axis."""

    env_steps: int = 0
    updates: int = 0
    version: int = -1
    """The newest published weight version; −1 before the first."""
    trained_s: float = 0.0
    """Seconds from the first batch on, over all starts of this run."""
    first_mean: float | None = None
    """Mean return of the run's first 100 episodes: progress to the level is measured from it."""


@dataclass
class RecentUpdates:
    """What the last updates were like."""

    returns: RunningReturns = field(default_factory=RunningReturns)
    metrics: dict[str, float] = field(default_factory=dict)
    policy_lag: float = 0.0
    """Weight versions published between playing a batch and training on it; a running mean."""


class Updater:
    """Updates an algorithm and publishes what it learned.

    Args:
        experiment: What is trained.
        algorithm: Its updates.
        export: The acting half of its model.
        spec: What players play; kept in every checkpoint.
        clock: Of the run; it is moved on, and set back by :meth:`restore`.
        epoch: Of the learner's lease, stamped on every weight version.
        next_version: Strictly rising version numbers, reserved before use.
        publish: Makes a version visible to players.
    """

    def __init__(
        self,
        experiment: Experiment,
        algorithm: Algorithm[Any, Any],
        export: PolicyExport,
        spec: PlaySpec,
        *,
        clock: Clock,
        epoch: int,
        next_version: Callable[[], int],
        publish: Callable[[WeightVersion], None],
    ) -> None:
        self.clock = clock
        self.recent = RecentUpdates()
        self._experiment = experiment
        self._algorithm = algorithm
        self._export = export
        self._spec = spec
        self._epoch = epoch
        self._next_version = next_version
        self._publish = publish
        self._last_s: float | None = None
        self._published_update = -1

    def update(self, taken: Taken) -> Update | None:
        """Counts what arrived, trains, and publishes a version when one is due.

        Returns:
            What the update was like; None when there was nothing to train on.

        Raises:
            TinyqueueError: The loss is not finite; the weights are as before.
        """
        clock = self.clock
        update = None
        if taken.experience is not None:
            update = self._algorithm.update(taken.experience, clock.env_steps)
            self.recent.metrics = update.metrics
            clock.updates += 1
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

    def publish(self) -> WeightVersion:
        """Publishes the present weights under the next version."""
        weights = self.weights(self._next_version())
        self._publish(weights)
        self.clock.version = weights.version
        self._published_update = self.clock.updates
        return weights

    def publish_if_changed(self) -> None:
        """Makes the newest version the present weights, so that these can be evaluated."""
        if self._published_update != self.clock.updates:
            self.publish()

    def weights(self, version: int) -> WeightVersion:
        """The present acting weights as a version; nothing is published."""
        return WeightVersion(
            version=version,
            epoch=self._epoch,
            run=self._spec.run,
            updates=self.clock.updates,
            env_steps=self.clock.env_steps,
            graph_sha256=self._export.sha256,
            arrays=self._export.arrays(),
        )

    def checkpoint(self, replay: ReplayState) -> Checkpoint:
        """All that is needed to go on from here, in memory.

        Args:
            replay: What the experience keeps of itself.
        """
        clock = self.clock
        return Checkpoint(
            env_steps=clock.env_steps,
            updates=clock.updates,
            version=clock.version,
            weights=self._export.arrays(),
            state=_copied(self._algorithm.state()),
            graph=self._export.graph,
            spec=self._spec.model_dump(),
            clock={"trained_s": clock.trained_s, "first_mean": clock.first_mean},
            replay=replay,
        )

    def restore(self, checkpoint: Checkpoint) -> None:
        """Goes back to a checkpoint's weights, optimiser and clock. Versions go on rising.

        Raises:
            CheckpointError: It was trained with another environment, model or optimiser.
        """
        checkpoint.require_same(self._spec.model_dump())
        self._algorithm.restore(checkpoint.state)
        clock = self.clock
        clock.env_steps = checkpoint.env_steps
        clock.updates = checkpoint.updates
        clock.version = checkpoint.version
        clock.trained_s = float(checkpoint.clock.get("trained_s", 0.0))
        clock.first_mean = checkpoint.clock.get("first_mean")


def _copied(arrays: Arrays) -> Arrays:
    return {name: array.copy() for name, array in arrays.items()}
