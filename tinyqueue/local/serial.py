"""The whole loop in one process without a broker: the same stage, the same update.

The debugger's target, the tutorial, and the reference that the distributed run is held
against. With the same seed it plays and learns the same, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace

from tinyqueue.data.seeds import seed32
from tinyqueue.data.session import SessionBatch
from tinyqueue.envs.describe import EnvironmentInfo
from tinyqueue.evaluation.local_games import LocalGames
from tinyqueue.experience.make import make_serial_source
from tinyqueue.experience.serial_sources import SerialSource, SoundPlay
from tinyqueue.experience.setbacks import Setbacks
from tinyqueue.experiment.experiment import Experiment
from tinyqueue.learner.assemble import Ends, assemble
from tinyqueue.learner.build import Built, build
from tinyqueue.learner.training_run import TrainingRun
from tinyqueue.learner.updater import Clock
from tinyqueue.monitor.metrics import Metric
from tinyqueue.monitor.view import View
from tinyqueue.player.stage import Stage
from tinyqueue.policy.runner import PolicyRunner
from tinyqueue.run.outcome import Outcome
from tinyqueue.run.run_directory import RunDirectory
from tinyqueue.run.versions import Versions
from tinyqueue.settings import Settings
from tinyqueue.wire.weights import WeightVersion

_STAGE_SEED = 1


class SerialPlayer:
    """Plays the batches of a serial run in one stage, with the weights that came last.

    Args:
        built: What is played.
        modules: This machine's modules that register environments.
    """

    def __init__(self, built: Built, modules: Sequence[str]) -> None:
        self._spec = built.spec
        self._modules = modules
        self._runner = PolicyRunner(built.export.graph, built.export.arrays(), -1)
        self._stage: Stage | None = None

    @contextmanager
    def opened(self, seed: int) -> Iterator[None]:
        """Inside, the stage is open.

        Raises:
            TinyqueueError: As of :class:`~tinyqueue.player.stage.Stage`.
        """
        self._stage = Stage(
            self._spec,
            user="local",
            player="serial",
            seed=seed,
            modules=self._modules,
            id=f"{seed:032x}",
        )
        try:
            yield
        finally:
            self._stage.close()
            self._stage = None

    def publish(self, weights: WeightVersion) -> None:
        """Plays on with these."""
        self._runner = self._runner.with_weights(weights.arrays, weights.version, weights.env_steps)

    def play(self) -> SessionBatch:
        """The next session batch; its arrays are valid until the next call."""
        if self._stage is None:
            raise RuntimeError("a batch is asked for while no stage is open")
        return self._stage.play(self._runner, task="serial")


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
    clock, modules = Clock(), settings.environment_modules
    player = SerialPlayer(built, modules)
    setbacks = Setbacks(view.message, experiment.learner.give_up_after_s)
    source = make_serial_source(
        experiment,
        built.algorithm.replay,
        built.contract,
        SoundPlay(player.play, built.contract, setbacks),
        updates=lambda: clock.updates,
    )
    # From here on the run is kept: what its settings alone can have wrong was found above.
    ends = Ends(
        clock=clock,
        source=source,
        setbacks=setbacks,
        epoch=run.reserve_epoch(run.epoch),
        versions=Versions(run),
        publish=player.publish,
        games=LocalGames(experiment, built.spec, modules, built.export.graph),
        view=view,
        services="none (serial)",
        sources=lambda: {Metric.PLAYERS: 1, **source.numbers()},
    )
    made = assemble(experiment, run, built, ends)
    made.training.restore(None)
    made.updater.publish()
    seed = seed32(experiment.seed, _STAGE_SEED, clock.updates)
    with player.opened(seed), closing(made.reporter), made.training.saving():
        return _loop(made.training, source, setbacks, stopping)


def _loop(
    training: TrainingRun, source: SerialSource, setbacks: Setbacks, stopping: Callable[[], bool]
) -> Outcome:
    while not stopping() and not training.is_over():
        if training.is_spent:
            training.waited()
            continue
        training.update(source.take(0.0))
        training.saver.save_if_due()
        reason = setbacks.hopeless()
        if reason:
            return replace(training.finish(), ended="failed", reason=reason)
    return training.finish()
