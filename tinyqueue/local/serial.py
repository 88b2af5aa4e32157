"""The whole loop in one process without a broker: the same stage, the same update.

The debugger's target, the tutorial, and the reference that the distributed run is held
against. With the same seed it plays and learns the same, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tinyqueue.data.seeds import seed32
from tinyqueue.envs.describe import EnvironmentInfo
from tinyqueue.evaluation.local_games import LocalGames
from tinyqueue.evaluation.threshold import ReturnThreshold
from tinyqueue.experience.replay_memory import ReplayMemory
from tinyqueue.experience.serial import Play, SerialReplay, SerialStream, SoundPlay
from tinyqueue.experience.setbacks import Setbacks
from tinyqueue.experiment.experiment import Experiment
from tinyqueue.learner.build import Built, build
from tinyqueue.learner.reporter import Reporter
from tinyqueue.learner.training_run import TrainingRun
from tinyqueue.learner.updater import Updater
from tinyqueue.monitor.metrics import Metric
from tinyqueue.monitor.view import View
from tinyqueue.player.stage import Stage
from tinyqueue.policy.heads import has_probabilities
from tinyqueue.policy.runner import PolicyRunner
from tinyqueue.run.checkpoints import Checkpoints
from tinyqueue.run.outcome import Outcome
from tinyqueue.run.run_directory import RunDirectory
from tinyqueue.run.versions import Versions
from tinyqueue.settings import Settings
from tinyqueue.wire.weights import WeightVersion

_STAGE_SEED = 1


def train_serial(
    experiment: Experiment,
    run: RunDirectory,
    info: EnvironmentInfo,
    settings: Settings,
    view: View,
    stopping: Callable[[], bool],
) -> Outcome:
    """Plays a batch, trains on it, plays on with the new weights.

    Args:
        experiment: What is trained.
        run: Where it is kept.
        info: What its environment is like.
        settings: Which modules environments may come from.
        view: Where a person looks.
        stopping: Asked after every update.
    """
    built = build(experiment, info, run.run_id, deterministic=True)
    modules = settings.environment_modules
    newest: list[PolicyRunner] = []

    def publish(weights: WeightVersion) -> None:
        newest[:] = [
            newest[0].with_weights(weights.arrays, weights.version, weights.env_steps)
            if newest
            else PolicyRunner(
                built.export.graph, weights.arrays, weights.version, weights.env_steps
            )
        ]

    setbacks = Setbacks(view.message, experiment.learner.give_up_after_s)
    source = _source(
        experiment,
        built,
        play=SoundPlay(lambda: stage.play(newest[0], task="serial"), built.contract, setbacks),
        updates=lambda: updater.clock.updates,
    )
    # From here on the run is kept: what its settings alone can have wrong was found above.
    versions = Versions(run)
    updater = Updater(
        experiment,
        built.algorithm,
        built.export,
        built.spec,
        epoch=run.reserve_epoch(run.epoch),
        next_version=versions.next,
        publish=publish,
    )
    games = LocalGames(experiment, built.spec, modules, built.export.graph)
    reporter = Reporter(
        experiment,
        run,
        view,
        updater,
        threshold=built.threshold,
        services="none (serial)",
        sources=lambda: {Metric.PLAYERS: 1, **source.numbers()},
        count=None,
        setbacks=setbacks,
    )
    keep, between = experiment.learner.keep_checkpoints, experiment.learner.keep_between
    checkpoints = Checkpoints(run.path / "checkpoints", keep, between)
    threshold = ReturnThreshold(
        built.threshold,
        experiment.evaluation,
        games,
        experiment.seed,
        can_sample=has_probabilities(built.spec.head),
    )
    training = TrainingRun(experiment, updater, checkpoints, threshold, reporter, source)
    training.restore(None)
    updater.publish()
    seed = seed32(experiment.seed, _STAGE_SEED, updater.clock.updates)
    stage = Stage(
        built.spec, user="local", player="serial", seed=seed, modules=modules, id=f"{seed:032x}"
    )
    try:
        with training.saving():
            while not stopping() and not training.is_over():
                if training.is_spent:
                    training.waited()
                    continue
                training.update(source.take(0.0))
                training.save_if_due()
                reason = setbacks.hopeless()
                if reason:
                    return replace(training.finish(), ended="failed", reason=reason)
            return training.finish()
    finally:
        stage.close()
        reporter.close()


def _source(
    experiment: Experiment, built: Built, play: Play, updates: Callable[[], int]
) -> SerialStream | SerialReplay:
    plan = built.algorithm.replay
    if plan is None:
        return SerialStream(play, experiment.learner.batches_per_update)
    return SerialReplay(play, ReplayMemory(experiment, plan, built.contract), updates)
