"""Assembles what trains a run, in the same way for the learner service and the serial loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tinyqueue.evaluation.threshold import GameRequests, ReturnThreshold
from tinyqueue.experience.setbacks import Setbacks
from tinyqueue.experience.source import Source
from tinyqueue.experiment.experiment import Experiment
from tinyqueue.learner.build import Built
from tinyqueue.learner.reporter import Reporter, Sources
from tinyqueue.learner.tasks_of_run import known_most_steps
from tinyqueue.learner.training_run import TrainingRun
from tinyqueue.learner.updater import Clock, Updater
from tinyqueue.ledger.marks import Count
from tinyqueue.monitor.view import View
from tinyqueue.policy.heads import has_probabilities
from tinyqueue.run.checkpoints import Checkpoints
from tinyqueue.run.run_directory import RunDirectory
from tinyqueue.run.versions import Versions
from tinyqueue.wire.weights import WeightVersion


@dataclass(frozen=True)
class Ends:
    """The inputs and outputs of a training run.

    Attributes:
        clock: The run's clock, also read by other parts of the learner.
        source: Supplies the experience.
        setbacks: Counts failures and batches set aside.
        epoch: Epoch of the learner's lease, reserved in the run directory.
        versions: Numbers for weight versions.
        publish: Makes a version visible to players.
        games: Has evaluations played.
        view: Shows the user what happens.
        services: What connects players and learner, for the header of the view.
        sources: Metrics from around the updater.
        count: The ledger's count; None without a ledger.
        players_log: Log of the players that were started with the learner; None without them.
    """

    clock: Clock
    source: Source
    setbacks: Setbacks
    epoch: int
    versions: Versions
    publish: Callable[[WeightVersion], None]
    games: GameRequests
    view: View
    services: str
    sources: Sources
    count: Callable[[], Count] | None = None
    players_log: Path | None = None


@dataclass(frozen=True)
class Assembled:
    """What trains a run. The caller of :func:`assemble` closes the reporter."""

    updater: Updater
    reporter: Reporter
    training: TrainingRun


def assemble(experiment: Experiment, run: RunDirectory, built: Built, ends: Ends) -> Assembled:
    """Connects updates, reports, checkpoints and evaluations, and shows the view's header.

    Args:
        experiment: The experiment.
        run: Its run directory.
        built: Its algorithm, and what players need.
        ends: Its inputs and outputs.

    Raises:
        ConfigError: Evaluations should sample actions, but the policy has no probabilities.
    """
    updater = Updater(
        experiment,
        built.algorithm,
        built.export,
        built.spec,
        clock=ends.clock,
        epoch=ends.epoch,
        next_version=ends.versions.next,
        publish=ends.publish,
        normalisation=built.normalisation,
    )
    reporter = Reporter(
        experiment,
        run,
        ends.view,
        updater,
        threshold=built.threshold,
        services=ends.services,
        sources=ends.sources,
        count=ends.count,
        players_log=ends.players_log,
        setbacks=ends.setbacks,
    )
    keep, between = experiment.learner.keep_checkpoints, experiment.learner.keep_between
    threshold = ReturnThreshold(
        built.threshold,
        experiment.evaluation,
        ends.games,
        experiment.seed,
        can_sample=has_probabilities(built.spec.head),
        is_comparable=experiment.evaluated is None and experiment.session.policy is None,
        max_steps=known_most_steps(built.spec.evaluated, experiment.evaluation.max_steps_per_game),
    )
    checkpoints = Checkpoints(run.path / "checkpoints", keep, between)
    training = TrainingRun(experiment, updater, checkpoints, threshold, reporter, ends.source)
    return Assembled(updater, reporter, training)
