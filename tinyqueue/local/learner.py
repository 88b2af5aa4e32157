"""A learner service on this machine that sends its tasks through Celery."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tinyqueue.bus.broker import Broker
from tinyqueue.bus.task_connection import TaskConnection
from tinyqueue.bus.task_sender import TaskSender
from tinyqueue.bus.topology import tasks_exchange
from tinyqueue.celery import make_app
from tinyqueue.envs.describe import EnvironmentInfo
from tinyqueue.evaluation.games_process import GamesProcess
from tinyqueue.experiment.experiment import Experiment
from tinyqueue.learner.service import LearnerService
from tinyqueue.learner.surroundings import Surroundings
from tinyqueue.monitor.view import View
from tinyqueue.run.run_directory import RunDirectory
from tinyqueue.settings import Settings


def make_learner(
    experiment: Experiment,
    run: RunDirectory,
    settings: Settings,
    view: View,
    prepared: Callable[[], tuple[Experiment, EnvironmentInfo]],
    players_log: Path | None = None,
) -> LearnerService:
    """A learner service that sends its tasks through Celery.

    Raises:
        ServiceUnreachableError: The broker or the store does not answer.
    """
    process = GamesProcess(settings.environment_modules, lambda: service.is_over)

    def games(
        weights: Any,
        spec: Any,
        graph: bytes,
        request: str,
        seed: int,
        actions: str,
        is_wanted: Callable[[], bool],
    ) -> Any:
        return process.play(
            service.experiment.evaluation, spec, weights, graph, request, seed, actions, is_wanted
        )

    broker = Broker(settings.broker)
    app = make_app(settings)
    # Celery's own, which it declares too.
    queues = tuple(app.amqp.queues.values()) if settings.declare else ()
    tasks = TaskSender(
        app,
        TaskConnection(broker, queues),
        experiment.session.queue,
        tasks_exchange(broker.kind),
    )
    service = LearnerService(
        experiment,
        run,
        Surroundings(
            settings=settings,
            prepared=prepared,
            tasks=tasks,
            play_here=games,
            view=view,
            players_log=players_log,
        ),
    )
    return service
