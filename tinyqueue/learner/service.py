"""The learner service: one experiment, one lease, one consumer thread, one updater loop."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace

import structlog

from tinyqueue.algorithms.initial_weights import initialise
from tinyqueue.bus.broker import Broker
from tinyqueue.bus.consumer import ExperienceConsumer
from tinyqueue.bus.feed import TaskFeed
from tinyqueue.errors import LeaseHeldError, LeaseLostError, TinyqueueError
from tinyqueue.evaluation.remote_games import RemoteGames
from tinyqueue.experience.make import make_experience
from tinyqueue.experience.setbacks import Setbacks
from tinyqueue.experience.source import Experience, Taken
from tinyqueue.experiment.experiment import Experiment
from tinyqueue.learner.assemble import Ends, assemble
from tinyqueue.learner.build import Built, build
from tinyqueue.learner.credits import LOOK_S, Credits, make_credits
from tinyqueue.learner.housekeeping import Chore, Housekeeping
from tinyqueue.learner.ingest import Ingest, no_credits
from tinyqueue.learner.reporter import Reporter
from tinyqueue.learner.standing import Standing
from tinyqueue.learner.surroundings import Surroundings
from tinyqueue.learner.tasks_of_run import (
    SentTasks,
    failure_listener,
    remote_games,
    task_chore,
    task_feed,
)
from tinyqueue.learner.training_run import TrainingRun
from tinyqueue.learner.updater import Clock
from tinyqueue.learner.weight_publisher import WeightPublisher
from tinyqueue.ledger.ledger import Ledger
from tinyqueue.ledger.marks import Mark
from tinyqueue.monitor.broker_outage import BrokerOutage
from tinyqueue.monitor.long_work import told_while
from tinyqueue.monitor.metrics import Metric
from tinyqueue.run.log_files import rotate_all
from tinyqueue.run.outcome import Outcome
from tinyqueue.run.run_directory import RunDirectory
from tinyqueue.run.versions import Versions
from tinyqueue.settings import host_name
from tinyqueue.store.client import connect
from tinyqueue.store.credits import CreditStore
from tinyqueue.store.lease import LearnerLease
from tinyqueue.store.memory import memory_advice
from tinyqueue.store.specs import SpecStore
from tinyqueue.store.status import StatusBoard
from tinyqueue.store.weights import WeightStore
from tinyqueue.wire.failures import TaskFailure

FEED_S = 0.05
"""Seconds between two checks of the window of play tasks."""
HEAL_S = 1.0
"""Seconds between two checks that the store still has what was published."""
STATUS_S = 1.0
LOGS_S = 10.0
"""Seconds between two looks at the size of the run's logs."""
_TAKE_S = 0.05

log = structlog.get_logger(__name__)


class LearnerService:
    """Trains one run until it reaches its target score or its last env step, or is stopped.

    Args:
        experiment: The experiment.
        run: Its run directory, locked by the caller.
        surroundings: What it works with.

    Raises:
        ServiceUnreachableError: The broker or the store does not answer, or refuses the login.
    """

    def __init__(
        self, experiment: Experiment, run: RunDirectory, surroundings: Surroundings
    ) -> None:
        self._experiment = experiment
        self._run = run
        self._around = surroundings
        self._sessions = run.path / "sessions.db"
        self._stopping = threading.Event()
        self._is_interrupted = False
        self.is_over = False
        """Whether :meth:`run` has ended: nothing waits for evaluations of this run any more."""
        self._broker = Broker(surroundings.settings.broker)
        # Both are asked at once: minutes of building would come before the first use of either.
        self._broker.check()
        self._redis = connect(surroundings.settings.redis)
        self._weights = WeightStore(self._redis, experiment.name)
        self._lease = LearnerLease(
            self._redis, experiment.name, run.run_id, holder=f"{host_name()} run {run.path}"
        )
        self._standing = Standing(self._lease, run, surroundings.view.message, self._stopping)

    @property
    def experiment(self) -> Experiment:
        """The experiment; once :meth:`run` has started, with every open setting chosen."""
        return self._experiment

    def stop(self) -> None:
        """Asks the service to end after the current update. Safe in a signal handler."""
        self._stopping.set()

    def interrupt(self) -> None:
        """As :meth:`stop`, but gives up a new run that has not begun. Safe in a signal handler."""
        self._is_interrupted = True
        self.stop()

    def run(self) -> Outcome:
        """Trains until the end, then saves and releases everything.

        Raises:
            LeaseHeldError: Another learner trains this experiment.
            LeaseLostError: Another learner has replaced this one.
            KeyboardInterrupt: It was interrupted before a new run had begun.
            TinyqueueError: A service cannot be reached at the start, the experiment does not work,
                or training failed.
        """
        try:
            epoch = self._lease.acquire(self._run.epoch)
        except LeaseHeldError:
            self._run.discard_unless_begun()
            raise
        try:
            say = self._around.view.message
            self._advise()
            self._experiment, info = self._around.prepared()
            with told_while("importing TensorFlow and building the network", say):
                built = build(self._experiment, info, self._run.run_id)
            if self._is_interrupted and not self._run.epoch:
                # Nothing to save, and no run to keep.
                raise KeyboardInterrupt
            begin = built.normalisation.begin_from_layers
            for remark in initialise(self._run, built.algorithm, begin):
                say(remark)
            with Ledger(
                self._sessions,
                experiment=self._experiment.name,
                run=self._run.run_id,
                keeps_bodies=built.algorithm.replay is not None,
            ) as ledger:
                return self._train(built, ledger, epoch)
        finally:
            self.is_over = True
            self._lease.release()

    def _advise(self) -> None:
        """Tells whoever runs the services what to change in Redis, unless it is a private one."""
        advice = memory_advice(self._redis) if self._around.players_log is None else ""
        if advice:
            self._around.view.message(advice)

    def _train(self, built: Built, ledger: Ledger, epoch: int) -> Outcome:
        experiment, around, clock = self._experiment, self._around, Clock()
        experience = make_experience(
            experiment,
            built.algorithm.replay,
            built.contract,
            ledger,
            self._sessions,
            updates=lambda: clock.updates,
        )
        # From here on the run is kept: errors in its settings alone were found above.
        epoch = self._run.reserve_epoch(epoch)
        at_least = self._standing.once_it_answers(self._weights.head) + 1
        publisher = WeightPublisher(
            self._weights,
            SpecStore(self._redis),
            built.spec,
            built.export.graph,
            epoch=epoch,
            check=self._standing.require_lease,
            replaced=self._standing.replaced,
            waiting=self._standing.waiting,
        )
        self._standing.may_hold = built.algorithm.replay is None
        sent, asked = SentTasks(), SentTasks()
        games = remote_games(
            around.tasks,
            built.spec,
            built.export.graph,
            experiment.evaluation,
            pin=publisher.pin,
            play_here=around.play_here,
            max_abs_reward=experiment.learner.max_abs_reward,
            own_login=around.settings.login if self._broker.kind == "rabbitmq" else "",
            note=asked.note,
        )
        feed = task_feed(
            around.tasks, built.spec, is_ahead=lambda: experience.is_ahead, note=sent.note
        )
        setbacks = Setbacks(around.view.message, experiment.learner.give_up_after_s)
        failed = failure_listener(feed, games, setbacks, sent, asked)
        credits = make_credits(
            CreditStore(self._redis, experiment.name), experiment, built.spec, lambda: clock.version
        )
        ingest = self._ingest(
            built, ledger, experience, clock, feed, games, setbacks, failed, credits
        )
        consumer = self._consumer(ingest)
        ends = Ends(
            clock=clock,
            source=experience,
            setbacks=setbacks,
            epoch=epoch,
            versions=Versions(self._run, at_least=at_least),
            publish=publisher.publish,
            games=games,
            view=around.view,
            services=self._broker.kind,
            sources=lambda: {
                Metric.QUEUE_DEPTH: consumer.ready,
                Metric.PLAYERS: feed.players,
                Metric.TASKS_OUTSTANDING: feed.outstanding,
                **experience.numbers(),
            },
            count=ledger.count,
            players_log=around.players_log,
        )
        with ExitStack() as endings:
            endings.callback(around.tasks.close)
            made = assemble(experiment, self._run, built, ends)
            endings.callback(made.reporter.close)
            made.training.restore(ledger)
            self._run.keep_taken()
            self._run.goes_on()
            self._standing.once_it_answers(publisher.publish_spec)
            made.updater.publish()
            if credits is not None:
                self._standing.once_it_answers(credits.begin)
            endings.callback(self._write_last_status, made.reporter)
            endings.callback(consumer.stop, timeout_s=10.0)
            endings.callback(experience.stop)
            experience.start()
            consumer.start()
            housekeeping = self._housekeeping(
                feed, publisher, made.reporter, made.training, credits
            )
            endings.callback(housekeeping.stop)
            housekeeping.start()
            # Done while the first players open their stages.
            session, learner = experiment.session, experiment.learner
            if not self._stopping.is_set():
                with told_while("compiling the update", around.view.message):
                    rows = session.slots * learner.batches_per_update
                    built.algorithm.prepare(session.ticks, rows)
            with made.training.saving(is_ours=lambda: self._standing.owns_run):
                return self._loop(made.training, experience, consumer, housekeeping, setbacks)

    def _ingest(
        self,
        built: Built,
        ledger: Ledger,
        experience: Experience,
        clock: Clock,
        feed: TaskFeed,
        games: RemoteGames,
        setbacks: Setbacks,
        failed: Callable[[TaskFailure, str], None],
        credits: Credits | None,
    ) -> Ingest:
        # A replay holds older experience anyway, and samples per insert limits the lag.
        is_bounded = built.algorithm.replay is None
        return Ingest(
            built.contract,
            ledger,
            experience,
            max_policy_lag=self._experiment.learner.max_policy_lag if is_bounded else None,
            head=lambda: clock.version,
            heard=feed.heard,
            failed=failed,
            setbacks=setbacks,
            evaluated=games.arrived,
            check_lease=self._standing.require_record,
            credited=credits.of_batch if credits else no_credits,
        )

    def _loop(
        self,
        training: TrainingRun,
        experience: Experience,
        consumer: ExperienceConsumer[Mark | None],
        housekeeping: Housekeeping,
        setbacks: Setbacks,
    ) -> Outcome:
        def require_all() -> None:
            self._standing.require_not_replaced()
            for error in (consumer.error, housekeeping.error, experience.error):
                if isinstance(error, LeaseLostError):
                    raise error
                if error is not None:
                    raise TinyqueueError(f"the learner cannot continue: {error}") from error

        outage = BrokerOutage(
            self._broker.address,
            lambda: consumer.trouble,
            self._around.view.message,
            # Redis as a broker is, as a rule, also the store, of which its standing tells.
            is_told=lambda: self._broker.kind == "redis" and bool(self._lease.trouble),
        )

        tells = self._standing.tell, outage.tell
        try:
            reason = self._train_on(training, experience, setbacks, require_all, tells)
        finally:
            self._standing.end()
        training.count(experience.drain())
        outcome = training.finish()
        return replace(outcome, ended="failed", reason=reason) if reason else outcome

    def _train_on(
        self,
        training: TrainingRun,
        experience: Experience,
        setbacks: Setbacks,
        require_all: Callable[[], None],
        tells: Sequence[Callable[[], None]],
    ) -> str:
        """Trains until the run is over; returns why it failed, if it did."""
        while not self._stopping.is_set() and not self._lease.stop_requested:
            require_all()
            for tell in tells:
                tell()
            taken = self._taken(training, experience)
            if taken is not None:
                training.update(taken)
                training.saver.save_if_due()
            else:
                training.waited()
            if training.is_over():
                break
            # After the last env step, failures do not matter any more; nor while Redis is away.
            is_calm = training.is_spent or self._standing.waits
            reason = "" if is_calm else setbacks.hopeless()
            if reason:
                return reason
        return ""

    def _taken(self, training: TrainingRun, experience: Experience) -> Taken | None:
        """What to train on next; nothing after the last env step, or for players left behind."""
        if training.is_spent:
            experience.close()
        elif not self._standing.holds:
            return experience.take(timeout_s=_TAKE_S)
        self._stopping.wait(_TAKE_S)
        return None

    def _consumer(self, ingest: Ingest) -> ExperienceConsumer[Mark | None]:
        learner = self._experiment.learner
        return ExperienceConsumer(
            self._broker,
            self._experiment.name,
            ingest,
            queue_batches=learner.queue_batches,
            prefetch=learner.batches_per_update + 1,
            queue_type=self._around.settings.queue_type,
            declare=self._around.settings.declare,
        )

    def _housekeeping(
        self,
        feed: TaskFeed,
        publisher: WeightPublisher,
        reporter: Reporter,
        training: TrainingRun,
        credits: Credits | None,
    ) -> Housekeeping:
        send = task_chore(feed, reporter, lambda: not (training.is_spent or self._standing.waits))
        chores = [
            Chore("feed", FEED_S, send),
            Chore("heal", HEAL_S, publisher.heal),
            Chore("status", STATUS_S, lambda: self._write_status(reporter)),
            Chore("logs", LOGS_S, lambda: rotate_all(self._run.path)),
        ]
        if credits is not None:
            chores.append(Chore("credits", LOOK_S, credits.look))
        return Housekeeping(chores)

    def _write_status(self, reporter: Reporter) -> None:
        board = StatusBoard(self._redis)
        board.write(self._experiment.name, reporter.status(), epoch=self._run.epoch)

    def _write_last_status(self, reporter: Reporter) -> None:
        """Writes the final status. If that is not possible, it is only logged."""
        if self._standing.rests:
            return
        try:
            self._write_status(reporter)
        except TinyqueueError as error:
            log.warning("the last status was not written", error=str(error))
