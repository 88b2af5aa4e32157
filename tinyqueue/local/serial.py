"""The whole loop in one process without a broker: the same stage, the same update.

It is for debugging, for the tutorial, and the reference for the distributed run. The same seed
gives the same run, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from functools import partial

from tinyqueue.algorithms.initial_weights import initialise
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
from tinyqueue.local.slow_environment import SlowEnvironment
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
    """Plays the batches of a serial run in one stage, with the newest weights.

    Args:
        built: The experiment as built for training.
        modules: This machine's modules that register environments.
    """

    def __init__(self, built: Built, modules: Sequence[str]) -> None:
        self._spec = built.spec
        self._modules = modules
        self._runner = PolicyRunner(built.export.graph, built.export.arrays(), -1)
        self._stage: Stage | None = None

    @contextmanager
    def opened(self, seed: int) -> Iterator[None]:
        """Inside it, the stage is open.

        Raises:
            TinyqueueError: As :class:`~tinyqueue.player.stage.Stage`.
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
        """Uses these weights from the next batch on."""
        self._runner = self._runner.with_weights(weights.arrays, weights.version, weights.env_steps)

    def play(self) -> SessionBatch:
        """The next session batch; its arrays are valid until the next call."""
        if self._stage is None:
            raise RuntimeError("a batch was asked for while no stage was open")
        return self._stage.play(self._runner, task="serial")


def train_serial(
    experiment: Experiment,
    run: RunDirectory,
    info: EnvironmentInfo,
    settings: Settings,
    view: View,
    stopping: Callable[[], bool],
) -> Outcome:
    """Plays a batch, trains on it, and continues with the new weights.

    Args:
        experiment: The experiment to train.
        run: Its run directory.
        info: The description of its environment.
        settings: Names the modules that register environments.
        view: Shows the run to a person.
        stopping: Called after every update; True ends the run.
    """
    built = build(experiment, info, run.run_id, deterministic=True)
    for remark in initialise(run, built.algorithm, built.normalisation.begin_from_layers):
        view.message(remark)
    clock, modules = Clock(), settings.environment_modules
    player, slow = SerialPlayer(built, modules), SlowEnvironment(view.message)
    session = experiment.session
    batch = f"session batches of {session.ticks} ticks in {session.slots} slots"

    def play() -> SessionBatch:
        with slow.playing(batch):
            return player.play()

    setbacks = Setbacks(view.message, experiment.learner.give_up_after_s)
    source = make_serial_source(
        experiment,
        built.algorithm.replay,
        built.contract,
        SoundPlay(play, built.contract, setbacks),
        updates=lambda: clock.updates,
    )
    # From here on the run is kept: errors in its settings alone were found above.
    ends = Ends(
        clock=clock,
        source=source,
        setbacks=setbacks,
        epoch=run.reserve_epoch(run.epoch),
        versions=Versions(run),
        publish=player.publish,
        games=LocalGames(
            experiment.evaluation,
            built.spec,
            modules,
            built.export.graph,
            playing=partial(slow.playing, f"{experiment.evaluation.episodes} evaluation games"),
        ),
        view=view,
        services="none (serial)",
        sources=lambda: {Metric.PLAYERS: 1, **source.numbers()},
    )
    made = assemble(experiment, run, built, ends)
    made.training.restore(None)
    run.keep_taken()
    run.goes_on()
    made.updater.publish()
    seed = seed32(experiment.seed, _STAGE_SEED, clock.updates)
    with slow.watched(), ExitStack() as stack:
        with slow.playing("building and resetting it"):
            stack.enter_context(player.opened(seed))
        with closing(made.reporter), made.training.saving():
            return _loop(made.training, source, slow, setbacks, stopping)


def _loop(
    training: TrainingRun,
    source: SerialSource,
    slow: SlowEnvironment,
    setbacks: Setbacks,
    stopping: Callable[[], bool],
) -> Outcome:
    while not stopping() and not training.is_over():
        if training.is_spent:
            training.waited()
            continue
        training.update(source.take(0.0))
        slow.heard()
        training.saver.save_if_due()
        reason = setbacks.hopeless()
        if reason:
            return replace(training.finish(), ended="failed", reason=reason)
    return training.finish()
