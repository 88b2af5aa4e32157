"""The learner service: one experiment, one lease, one consumer thread, one trainer loop."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import structlog

from tinyqueue.bus.broker import Broker
from tinyqueue.bus.consumer import ExperienceConsumer
from tinyqueue.bus.feed import TaskFeed
from tinyqueue.data.identity import new_id
from tinyqueue.envs.describe import EnvironmentInfo
from tinyqueue.errors import LeaseLostError, TinyqueueError
from tinyqueue.experiment import Experiment
from tinyqueue.learner.build import Built, build
from tinyqueue.learner.checkpoints import Checkpoints
from tinyqueue.learner.housekeeping import Chore, Housekeeping
from tinyqueue.learner.ingest import Ingest
from tinyqueue.learner.ledger import Ledger
from tinyqueue.learner.level import Level
from tinyqueue.learner.outcome import Outcome
from tinyqueue.learner.remote_games import RemoteGames
from tinyqueue.learner.reporter import Reporter
from tinyqueue.learner.run_directory import RunDirectory
from tinyqueue.learner.trainer import Trainer
from tinyqueue.learner.training import Training
from tinyqueue.learner.versions import Versions
from tinyqueue.learner.weight_publisher import WeightPublisher
from tinyqueue.monitor.metrics import Metric
from tinyqueue.monitor.view import View
from tinyqueue.settings import Settings, host_name
from tinyqueue.store.client import connect
from tinyqueue.store.lease import LearnerLease
from tinyqueue.store.specs import SpecStore
from tinyqueue.store.status import StatusBoard
from tinyqueue.store.weights import WeightStore
from tinyqueue.wire.evaluations import EvaluationResult
from tinyqueue.wire.weights import WeightVersion

FEED_S = 0.05
"""Seconds between two looks at the window of play tasks."""
HEAL_S = 1.0
"""Seconds between two looks whether the store still has what was published."""
STATUS_S = 1.0
STATUS_TTL_S = 7 * 86_400.0
"""The last status is shown for a week after its learner has ended."""
_TAKE_S = 0.05

log = structlog.get_logger(__name__)


class Tasks(Protocol):
    """Sends the tasks of one experiment to whoever works for it."""

    def play(
        self, task_id: str, *, experiment: str, run: str, spec_version: int, budget_s: float
    ) -> None: ...

    def evaluate(
        self,
        request: str,
        *,
        experiment: str,
        run: str,
        version: int,
        episodes: int,
        slots: int,
        seed: int,
    ) -> None: ...


PlayHere = Callable[[WeightVersion, bytes, str, int], EvaluationResult]
"""Plays greedy games in this process: weights, acting graph, request id, seed."""


@dataclass(frozen=True)
class Surroundings:
    """What a learner is given by whoever starts it.

    Attributes:
        settings: Where the services are.
        environment: What the environment is like, found out in a process of its own.
        tasks: Sends play and evaluation tasks.
        play_here: Evaluates in this process when no worker does.
        view: Where a person looks.
    """

    settings: Settings
    environment: Callable[[], EnvironmentInfo]
    tasks: Tasks
    play_here: PlayHere
    view: View


class LearnerService:
    """Trains one run until its level or its last step is reached, or it is told to stop.

    Args:
        experiment: What is trained.
        run: Where it is kept; locked by the caller.
        surroundings: Services and people around it.
    """

    def __init__(
        self, experiment: Experiment, run: RunDirectory, surroundings: Surroundings
    ) -> None:
        self._experiment = experiment
        self._run = run
        self._around = surroundings
        self._stopping = threading.Event()
        self._broker = Broker(surroundings.settings.broker)
        self._redis = connect(surroundings.settings.redis)
        self._lease = LearnerLease(
            self._redis, experiment.name, run.run_id, holder=f"{host_name()} run {run.path}"
        )

    def stop(self) -> None:
        """Asks the service to end after the present update. Safe in a signal handler."""
        self._stopping.set()

    def run(self) -> Outcome:
        """Trains. Returns when it is over, with everything saved and released.

        Raises:
            LeaseHeldError: Another learner trains this experiment.
            LeaseLostError: This one was replaced.
            TinyqueueError: A service cannot be reached at start, or the experiment is unusable.
        """
        epoch = self._run.reserve_epoch(self._lease.acquire(self._run.epoch))
        try:
            built = build(self._experiment, self._around.environment(), self._run.run_id)
            with Ledger(self._run.path / "sessions.db") as ledger:
                return self._train(built, ledger, epoch)
        finally:
            self._lease.release()

    def _train(self, built: Built, ledger: Ledger, epoch: int) -> Outcome:
        experiment, name = self._experiment, self._experiment.name
        weights = WeightStore(self._redis, name)
        versions = Versions(self._run, at_least=weights.head() + 1)
        publisher = WeightPublisher(
            weights, SpecStore(self._redis), built.spec, built.export.graph, self._lease.check
        )
        trainer = Trainer(
            experiment,
            built.algorithm,
            built.export,
            built.spec,
            epoch=epoch,
            next_version=versions.next,
            publish=publisher.publish,
        )
        games = self._games(built, weights)
        feed = self._feed(built)
        ingest = Ingest(
            built.contract,
            ledger,
            max_policy_lag=experiment.learner.max_policy_lag,
            head=lambda: trainer.clock.version,
            heard=feed.heard,
            evaluated=games.arrived,
        )
        consumer = ExperienceConsumer(
            self._broker,
            name,
            queue_batches=experiment.learner.queue_batches,
            prefetch=experiment.learner.batches_per_update + 1,
            queue_type=self._around.settings.queue_type,
            on_delivery=ingest.on_delivery,
            commit=ingest.commit,
            declare=self._around.settings.declare,
        )
        ingest.attach(consumer)
        checkpoints = Checkpoints(
            self._run.path / "checkpoints", keep=experiment.learner.keep_checkpoints
        )
        reporter = Reporter(
            experiment,
            self._run,
            self._around.view,
            trainer,
            threshold=built.threshold,
            services=self._broker.kind,
            sources=lambda: {
                Metric.QUEUE_DEPTH: consumer.ready,
                Metric.PLAYERS: feed.players,
                Metric.TASKS_OUTSTANDING: feed.outstanding,
            },
            count=ledger.count,
        )
        training = Training(
            experiment,
            trainer,
            checkpoints,
            Level(built.threshold, experiment.evaluation, games, experiment.seed),
            reporter,
        )
        training.restore(ledger)
        publisher.publish_spec()
        trainer.publish()
        board = StatusBoard(self._redis)
        housekeeping = Housekeeping(
            [
                Chore("feed", FEED_S, feed.tick),
                Chore("heal", HEAL_S, publisher.heal),
                Chore("status", STATUS_S, lambda: board.write(name, reporter.status(), STATUS_TTL_S)),
            ]
        )
        consumer.start()
        housekeeping.start()
        try:
            return self._loop(training, ingest, consumer, housekeeping)
        finally:
            housekeeping.stop()
            consumer.stop(timeout_s=10.0)
            board.write(name, reporter.status(), STATUS_TTL_S)
            reporter.close()

    def _loop(
        self,
        training: Training,
        ingest: Ingest,
        consumer: ExperienceConsumer,
        housekeeping: Housekeeping,
    ) -> Outcome:
        wanted = self._experiment.learner.batches_per_update
        while not self._stopping.is_set() and not self._lease.stop_requested:
            for error in (consumer.error, housekeeping.error):
                if error is not None:
                    raise TinyqueueError(f"the learner cannot go on: {error}") from error
            batches = ingest.take(wanted, timeout_s=_TAKE_S)
            self._lease.check()
            if batches:
                training.update(batches)
                ingest.trained(batches)
            if training.is_over():
                break
        try:
            self._lease.check()
        except LeaseLostError:
            log.error("replaced by another learner; nothing more is saved")
            raise
        return training.finish()

    def _games(self, built: Built, weights: WeightStore) -> RemoteGames:
        experiment, evaluation = self._experiment, self._experiment.evaluation

        def send(request: str, version: int, seed: int) -> None:
            self._around.tasks.evaluate(
                request,
                experiment=experiment.name,
                run=self._run.run_id,
                version=version,
                episodes=evaluation.episodes,
                slots=evaluation.slots,
                seed=seed,
            )

        def play_here(version: WeightVersion, request: str, seed: int) -> EvaluationResult:
            return self._around.play_here(version, built.export.graph, request, seed)

        return RemoteGames(evaluation, pin=weights.pin, send=send, play_here=play_here)

    def _feed(self, built: Built) -> TaskFeed:
        spec = built.spec

        def send(expires_s: float) -> str:
            task_id = new_id()
            self._around.tasks.play(
                task_id,
                experiment=spec.experiment,
                run=spec.run,
                spec_version=spec.version,
                budget_s=spec.task_budget_s,
            )
            return task_id

        return TaskFeed(send, budget_s=spec.task_budget_s)
