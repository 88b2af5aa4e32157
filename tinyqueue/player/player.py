"""The play loop: a task is a lease to play for an experiment, for a budget of seconds."""

from __future__ import annotations

import functools
import random
import secrets
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import TYPE_CHECKING
from urllib.parse import quote

import structlog

from tinyqueue.bus.broker import Broker
from tinyqueue.bus.publisher import ExperiencePublisher, PublishOutcome
from tinyqueue.bus.seldom import Seldom
from tinyqueue.envs.paced import prepare_process
from tinyqueue.errors import MessageError, ServiceUnreachableError, TinyqueueError
from tinyqueue.experiment.play_spec import PlaySpec
from tinyqueue.player.failing import WAITING, FailureTeller, failure_text
from tinyqueue.player.journal import PublishJournal
from tinyqueue.player.learners import Learners
from tinyqueue.player.open_stage import OpenStage
from tinyqueue.player.open_stages import OpenStages
from tinyqueue.player.outbox import Outbox
from tinyqueue.player.play_task import PlayReport, PlayTask
from tinyqueue.player.policies import IDLE_S, NewestPolicy
from tinyqueue.player.process_end import ProcessEnd
from tinyqueue.player.realtime import play_episodes
from tinyqueue.player.spool import Spool
from tinyqueue.player.spool_folder import SpoolFolder
from tinyqueue.player.stage import Stage
from tinyqueue.policy.runner import PolicyRunner
from tinyqueue.policy.signature import require_playable
from tinyqueue.settings import Settings, player_name
from tinyqueue.store.client import connect
from tinyqueue.store.credits import Credit, CreditStore
from tinyqueue.store.lease_info import learner_is_alive, trained_run
from tinyqueue.store.specs import SpecStore
from tinyqueue.store.weights import WeightStore
from tinyqueue.wire.failures import LOST, TaskFailure

if TYPE_CHECKING:
    import redis

__all__ = ["PlayReport", "PlayTask", "Player"]

GIVE_UP_S = 30.0
"""How long to keep offering an unconfirmed batch before it is dropped."""
MOST_SPEC_BYTES = 4 * 2**20
"""A spec is a few kB: names, settings and spaces."""
_LEASE_CHECK_S = 1.0
_CREDIT_S, _LEAST_S = 0.25, 0.001
"""The longest and the shortest wait for a credit before a look at whether the run goes on."""
_NO_CREDIT = Credit(0, 0)

log = structlog.get_logger(__name__)

_say_no_credits = Seldom(log.warning, "played without a credit, so learner.lag is not kept")


class Player:
    """One pool child. It connects with its first task: create it after the fork.

    Args:
        settings: Where the services are.
        seed: The seed from which the seeds of its stages are drawn; random if None.
        publisher: Makes the publisher for one experiment's batches.
        is_ending: Whether the worker of this process ends.
    """

    def __init__(
        self,
        settings: Settings,
        seed: int | None = None,
        publisher: Callable[..., ExperiencePublisher] = ExperiencePublisher,
        is_ending: Callable[[], bool] = lambda: False,
    ) -> None:
        self.name = player_name()
        self._settings = settings
        self._random = random.Random(seed if seed is not None else secrets.randbits(64))
        self._learners = Learners(lambda experiment: trained_run(self._redis, experiment))
        self._broker = Broker(settings.broker)
        self._make_publisher = publisher
        self._is_ending = is_ending
        self._publishers: dict[str, ExperiencePublisher] = {}
        self._stages = OpenStages(self._close_publisher)
        self._failing = FailureTeller(lambda: self._new_publisher(WAITING))

    def play(self, task: PlayTask) -> PlayReport:
        """Plays until the task's budget is spent, or there is nothing to play for.

        Raises:
            EnvironmentMismatchError: The environment built here differs from the learner's.
            TinyqueueError: The environment or the spec cannot be used here.
        """
        deadline_s = time.monotonic() + task.budget_s
        self._stages.close_idle()
        opened = self._open(task)
        if isinstance(opened, str):
            log.info("task ended", task=task.id, experiment=task.experiment, reason=opened)
            return PlayReport(opened)
        report = PlayReport()
        try:
            if opened.outbox is not None:
                play_episodes(opened, task, deadline_s, report, self._is_ending)
            else:
                self._play_until(opened, task, deadline_s, report)
        except BaseException:
            # The time limit can strike anywhere: in the middle of a tick, or of a publish.
            self._close_publisher(task.experiment)
            if opened.stage.interrupted:
                self._stages.close(task.experiment, "its last task did not end by itself")
            raise
        is_told = opened.outbox is not None or task.id in opened.ended_tasks
        if not is_told and report.ended != "budget":
            opened.ended_tasks.append(task.id)
        opened.used_s = time.monotonic()
        log.info("task played", task=task.id, experiment=task.experiment, **asdict(report))
        return report

    def failed(self, task: PlayTask, error: BaseException, limit_s: float) -> None:
        """Tells the learner, and the worker's terminal, why a task was not played.

        Args:
            task: The task, which is over.
            error: What :meth:`play` raised.
            limit_s: The task's time limit.
        """
        kind, text = failure_text(error, limit_s)
        self._tell(task, kind, text, ended=True)
        log.error(
            "play task refused", task=task.id, experiment=task.experiment, kind=kind, error=text
        )

    def lost(self, task: PlayTask, *, ended: bool) -> None:
        """Tells the learner that a task was delivered again after somebody had begun it.

        Args:
            task: The task.
            ended: Whether it is put aside, after too many deliveries.
        """
        text = (
            "a play task came again: the process that played it ended without a word (its "
            "environment crashed it, it ran out of memory, or it was killed), or lost its broker"
        )
        self._tell(task, LOST, text, ended=ended)

    def process_ended(self, end: ProcessEnd) -> None:
        """Tells the learner that another process of this worker has ended in a task."""
        try:
            spec = self._specs.load(end.experiment, MOST_SPEC_BYTES)
        except TinyqueueError:
            spec = None
        environment = spec.environment.id if spec is not None and spec.run == end.run else ""
        self._failing.tell(end.failure(environment, self._settings.login))

    def not_evaluated(self, request: str, experiment: str, run: str, error: Exception) -> None:
        """Tells the learner why an evaluation was not played, as :meth:`failed` does of a task.

        Args:
            request: Id of the evaluation.
            experiment, run: What was to be evaluated.
            error: Why it was not.
        """
        kind, text = failure_text(error, 0.0)
        self._failing.tell(self._failure(request, experiment, run, kind, text))

    def _tell(self, task: PlayTask, kind: str, text: str, *, ended: bool) -> None:
        failure = self._failure(task.id, task.experiment, task.run, kind, text)
        self._failing.tell(replace(failure, ended=ended))

    def _failure(self, task: str, experiment: str, run: str, kind: str, text: str) -> TaskFailure:
        return TaskFailure(
            task, experiment, run, kind, text, player=self.name, user=self._settings.login
        )

    def close(self) -> None:
        """Closes all stages, with their environments and publishers."""
        self._stages.close_all("the player ends")

    def save(self) -> None:
        """Publishes what is left of realtime environments, or keeps it for the next player."""
        self._stages.save()

    @functools.cached_property
    def _redis(self) -> redis.Redis:
        return connect(self._settings.redis)

    @functools.cached_property
    def _specs(self) -> SpecStore:
        return SpecStore(self._redis)

    def _play_until(
        self, opened: OpenStage, task: PlayTask, deadline_s: float, report: PlayReport
    ) -> None:
        last = False

        def is_last(batch_s: float) -> bool:
            nonlocal last
            last = time.monotonic() + 0.5 * batch_s >= deadline_s
            return last

        while True:
            if opened.pending is not None:
                before_s = time.thread_time()
                ended = self._deliver(opened, deadline_s, report)
                report.bus_cpu_s += time.thread_time() - before_s
                if ended:
                    report.ended = ended
                    return
                report.batches += 1
            if last or time.monotonic() >= deadline_s:
                if not last:
                    opened.ended_tasks.append(task.id)
                return
            if ended := opened.policy.ended():
                report.ended = ended
                return
            credit = _credit(opened.credits, deadline_s)
            if credit is None:
                continue
            runner = _newest(opened.policy, task.budget_s, credit.version)
            if runner is None:
                report.ended = "no weights"
                return
            before_s = time.thread_time()
            encode_cpu_s = opened.play(runner, task.id, is_last=is_last, credit=credit.number)
            report.play_cpu_s += time.thread_time() - before_s - encode_cpu_s
            report.bus_cpu_s += encode_cpu_s

    def _deliver(self, opened: OpenStage, deadline_s: float, report: PlayReport) -> str:
        """Offers the pending batch until it is confirmed; otherwise returns why the task ends."""
        pending = opened.pending
        assert pending is not None
        publisher = self._publisher(opened.spec)
        checked_s = time.monotonic()
        while True:
            outcome = publisher.publish(pending)
            if outcome is PublishOutcome.CONFIRMED:
                opened.confirmed()
                return ""
            report.refused += outcome is not PublishOutcome.NO_ROOM
            now_s = time.monotonic()
            if outcome is PublishOutcome.NO_LEARNER:
                opened.drop("no learner")
                return "no learner"
            if now_s - opened.pending_since_s > GIVE_UP_S:
                opened.drop("queue full" if outcome.is_full else "broker unreachable")
            elif now_s - checked_s > _LEASE_CHECK_S:
                checked_s = now_s
                if not self._learner_is_alive(opened.spec.experiment):
                    opened.drop("no learner")
                    return "no learner"
            if opened.pending is None or now_s >= deadline_s:
                return "full" if outcome.is_full else "broker"
            time.sleep(min(publisher.pause_s(), deadline_s - now_s))

    def _open(self, task: PlayTask) -> OpenStage | str:
        """The stage to play on, or why there is nothing to play for."""
        opened = self._stages.get(task.experiment)
        if opened and opened.spec.run == task.run:
            ended = opened.policy.ended()
        else:
            ended = self._learners.ended(task.experiment, task.run)
        if ended:
            return ended
        if opened and opened.spec.run == task.run and opened.spec.version == task.spec_version:
            return opened
        spec = self._specs.load(task.experiment, MOST_SPEC_BYTES)
        if spec is None:
            return "no spec"
        if spec.run != task.run:
            return "other run"
        if opened and opened.spec.run == spec.run and opened.spec.version == spec.version:
            return opened
        self._stages.close(task.experiment, "its experiment has changed")
        try:
            return self._stages.open(task.experiment, lambda: self._build(spec))
        except _NoWeightsError:
            return "no weights"

    def _build(self, spec: PlaySpec) -> OpenStage:
        graph = self._specs.graph(spec.experiment, spec.graph_sha256)
        policy = NewestPolicy(
            graph,
            spec.graph_sha256,
            spec.run,
            WeightStore(self._redis, spec.experiment).fetch_if_newer,
            lambda: trained_run(self._redis, spec.experiment),
            lambda signature: require_playable(signature, spec),
            warm_up=(spec.slots, spec.actions) if spec.environment.realtime else None,
            idle_s=max(IDLE_S, spec.task_limit_s) if spec.environment.realtime else None,
        )
        try:
            if spec.environment.realtime:
                # Its clock runs from its first reset on: what it needs to act must be there.
                prepare_process()
                if _newest(policy, spec.task_budget_s) is None:
                    raise _NoWeightsError
            stage = Stage(
                spec,
                user=self._settings.login,
                player=self.name,
                seed=self._random.getrandbits(63),
                modules=self._settings.environment_modules,
            )
        except BaseException:
            policy.close()
            raise
        folder = self._settings.publish_journal
        journal = PublishJournal(folder, stage.id) if folder else None
        log.info("stage opened", experiment=spec.experiment, stage=stage.id, slots=spec.slots)
        if spec.environment.realtime:
            return OpenStage(spec, stage, policy, outbox=self._outbox(spec, stage.id, journal))
        credits = CreditStore(self._redis, spec.experiment) if spec.credits else None
        return OpenStage(spec, stage, policy, journal, credits=credits)

    def _outbox(self, spec: PlaySpec, stage: str, journal: PublishJournal | None) -> Outbox:
        settings = self._settings
        # Of its own login: a batch that another one publishes is set aside.
        folder = SpoolFolder(
            settings.spool_dir / quote(settings.login or "_", safe=""),
            spec.experiment,
            spec.run,
            stage,
            settings.spool_disk_bytes,
            spec.codec,
        )
        spool = Spool(settings.spool_memory_bytes, folder, stage)
        publisher = self._new_publisher(spec.queue_batches)
        return Outbox(stage, spec.codec, spool, publisher, journal)

    def _publisher(self, spec: PlaySpec) -> ExperiencePublisher:
        if spec.experiment not in self._publishers:
            self._publishers[spec.experiment] = self._new_publisher(spec.queue_batches)
        return self._publishers[spec.experiment]

    def _new_publisher(self, queue_batches: int) -> ExperiencePublisher:
        return self._make_publisher(
            self._broker,
            self._settings.login,
            queue_batches=queue_batches,
            learner_is_alive=self._learner_is_alive,
        )

    def _learner_is_alive(self, experiment: str) -> bool:
        try:
            return learner_is_alive(self._redis, experiment)
        except TinyqueueError:
            # A store that does not answer says nothing about the learner.
            return True

    def _close_publisher(self, experiment: str) -> None:
        publisher = self._publishers.pop(experiment, None)
        if publisher:
            publisher.close()


class _NoWeightsError(Exception):
    """No weights came in time for an environment that may not wait for them."""


def _credit(credits: CreditStore | None, deadline_s: float) -> Credit | None:
    """A credit for the next batch, or None if none came for a moment."""
    if credits is None:
        return _NO_CREDIT
    try:
        return credits.take(min(_CREDIT_S, max(_LEAST_S, deadline_s - time.monotonic())))
    except ServiceUnreachableError as error:
        if error.kind == "noperm":
            # Rules of an earlier version: its learner issues credits that nobody can take.
            _say_no_credits(error=str(error))
            return _NO_CREDIT
        time.sleep(min(_CREDIT_S, max(0.0, deadline_s - time.monotonic())))
        return None


def _newest(policy: NewestPolicy, timeout_s: float, version: int = 0) -> PolicyRunner | None:
    """The newest policy, waited for if it is the first, or older than ``version``.

    Raises:
        MessageError: What the store holds cannot be played with.
    """
    runner = policy.at_least(version, timeout_s)
    if runner is None and policy.refused is not None:
        # Somebody else's fault, whatever it was: it must not count against this machine.
        raise MessageError("malformed", str(policy.refused)) from policy.refused
    return runner
