"""An evaluating worker: plays evaluations of a pinned weight version, away from the learner."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import structlog

from tinyqueue.bus.backoff import Backoff
from tinyqueue.bus.broker import Broker
from tinyqueue.bus.publisher import ExperiencePublisher, Outgoing, PublishOutcome
from tinyqueue.errors import ServiceUnreachableError
from tinyqueue.evaluation.games import Games, Limits, play_games
from tinyqueue.evaluation.result import result_of
from tinyqueue.evaluation.score import MOST_STEPS, TIMEOUT_S
from tinyqueue.evaluation.telling import Telling
from tinyqueue.experiment.play_spec import PlaySpec
from tinyqueue.policy.heads import evaluation_head
from tinyqueue.policy.runner import PolicyRunner
from tinyqueue.policy.signature import require_playable
from tinyqueue.settings import Settings, player_name
from tinyqueue.store.client import connect
from tinyqueue.store.lease_info import learner_is_alive
from tinyqueue.store.specs import SpecStore
from tinyqueue.store.weights import WeightStore
from tinyqueue.wire.evaluation_signs import EvaluationSign
from tinyqueue.wire.evaluations import EVALUATION_TYPE, EvaluationResult, encode_evaluation
from tinyqueue.wire.weights import WeightVersion

PATIENCE_S = 30.0
"""How long to retry sending a result while the learner's queue is full."""
FULL_S = 0.02
"""Maximum pause between two attempts on a full queue, before jitter. Players pause up to five times
as long: their batches are large, and always wait there if the learner is slower than they are."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class EvaluateTask:
    """The arguments of an ``evaluate-policy`` task.

    Attributes:
        request: Id of the evaluation.
        experiment: Name of the experiment.
        run: Id of the run.
        version: The weight version to evaluate.
        episodes: Number of games.
        slots: Games played in parallel.
        seed: Seed of the games.
        actions: ``greedy`` or ``sample``.
        max_steps: Env steps of a game in an environment without its own limit.
        timeout_s: Wall time for all games.
    """

    request: str
    experiment: str
    run: str
    version: int
    episodes: int
    slots: int
    seed: int
    actions: str = "greedy"
    max_steps: int = MOST_STEPS
    timeout_s: float = TIMEOUT_S


class Evaluator:
    """Plays evaluation tasks in one process. Created in its first task, after the fork.

    Args:
        settings: Addresses of the services.
        make_room: Closes the environments that this process plays in, if only one can exist.
    """

    def __init__(self, settings: Settings, make_room: Callable[[], None] = lambda: None) -> None:
        self.name = player_name()
        self._settings = settings
        self._make_room = make_room
        self._redis = connect(settings.redis)
        self._specs = SpecStore(self._redis)
        self._broker = Broker(settings.broker)
        self._graphs: dict[str, bytes] = {}

    def evaluate(self, task: EvaluateTask) -> None:
        """Plays the games, gives the learner signs meanwhile, and publishes the returns.

        The weights are fetched first: once the learner sees a sign, it need not keep them.

        Raises:
            MissingVersionError: The store does not have the version any more.
            EnvironmentFailedError: The environment failed several times in a row.
            TinyqueueError: The environment cannot be built here, or a service does not answer.
        """
        spec = self._specs.load(task.experiment)
        if spec is None or spec.run != task.run:
            log.info("evaluation ended", request=task.request, reason="nobody trains this run")
            return
        weights = WeightStore(self._redis, task.experiment).fetch(task.version)
        if spec.environment.is_alone:
            self._make_room()
        publisher = self._publisher(spec)
        try:
            sign = EvaluationSign(task.request, task.experiment, task.run, self.name)
            with Telling(publisher, sign) as telling:
                games = self._play(task, spec, weights, telling.moved)
            result = result_of(
                games,
                request=task.request,
                experiment=task.experiment,
                weights=weights,
                player=self.name,
                actions=task.actions,
            )
            _publish(publisher, result)
        finally:
            publisher.close()

    def _play(
        self,
        task: EvaluateTask,
        spec: PlaySpec,
        weights: WeightVersion,
        on_progress: Callable[[int], None],
    ) -> Games:
        runner = PolicyRunner(self._graph(spec), weights.arrays, weights.version, weights.env_steps)
        require_playable(runner.signature, spec)
        return play_games(
            spec.evaluated,
            runner,
            evaluation_head(spec.head, spec.actions, sample=task.actions == "sample"),
            episodes=task.episodes,
            slots=task.slots,
            seed=task.seed,
            modules=self._settings.environment_modules,
            spaces=(spec.observations, spec.actions),
            on_progress=on_progress,
            limits=Limits(task.max_steps, task.timeout_s),
        )

    def _graph(self, spec: PlaySpec) -> bytes:
        if spec.graph_sha256 not in self._graphs:
            self._graphs = {
                spec.graph_sha256: self._specs.graph(spec.experiment, spec.graph_sha256)
            }
        return self._graphs[spec.graph_sha256]

    def _publisher(self, spec: PlaySpec) -> ExperiencePublisher:
        return ExperiencePublisher(
            self._broker,
            self._settings.login,
            queue_batches=spec.queue_batches,
            learner_is_alive=lambda name: learner_is_alive(self._redis, name),
            backoff=Backoff(most_s=FULL_S),
        )


def _publish(publisher: ExperiencePublisher, result: EvaluationResult) -> None:
    message = Outgoing(
        experiment=result.experiment,
        body=encode_evaluation(result),
        content_type=EVALUATION_TYPE,
        message_id=result.request,
        correlation_id=result.request,
        headers={},
        is_evaluation=True,
    )
    outcome = publisher.publish_patiently(message, for_s=PATIENCE_S)
    if outcome is not PublishOutcome.CONFIRMED:
        raise ServiceUnreachableError(
            f"the result of evaluation {result.request} was not accepted ({outcome.value}). "
            "The learner plays these games itself if it gets no more signs of them."
        )
