"""The Celery tasks: thin, and safe to run twice.

One player and one evaluator are created per process, in its first task: sockets, threads
and inference sessions must not exist before a pool forks.
"""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Callable
from typing import Any

import structlog
from celery import Task
from celery.exceptions import Reject, SoftTimeLimitExceeded

from tinyqueue.celery import app
from tinyqueue.errors import TinyqueueError
from tinyqueue.evaluation.score import MOST_STEPS, TIMEOUT_S
from tinyqueue.evaluation.worker import EvaluateTask, Evaluator
from tinyqueue.player.player import Player, PlayTask
from tinyqueue.settings import load_settings
from tinyqueue.store.attempts import count_attempt
from tinyqueue.store.client import connect

MAX_DELIVERIES = 3
"""A task that was delivered this many times again has crashed its workers, and is put aside."""

log = structlog.get_logger(__name__)


@app.task(name="play-episode", bind=True)
def play_episode(
    self: Task[Any, Any], experiment: str, run: str, spec_version: int, budget_s: float
) -> None:
    """Plays sessions for an experiment until the budget is spent.

    Raises:
        Reject: The task has been delivered too often; its queue dead-letters it.
    """
    task = PlayTask(str(self.request.id), experiment, run, spec_version, budget_s)
    player: Player | None = None
    try:
        player = _player(os.getpid())
        _refuse_poison(self, lambda is_over: player.lost(task, ended=is_over))
        player.play(task)
    except (Reject, SystemExit, KeyboardInterrupt):
        raise
    except Exception as error:
        _, soft_limit_s = self.request.timelimit or (None, None)
        if not isinstance(error, TinyqueueError | SoftTimeLimitExceeded):
            log.exception("play task failed", task=task.id)
        if player is None:
            log.error("play task refused", task=task.id, error=str(error))
            return
        player.failed(task, error, soft_limit_s or math.inf)


@app.task(name="evaluate-policy", bind=True)
def evaluate_policy(  # noqa: PLR0913  # the message of the task, argument by argument
    self: Task[Any, Any],
    request: str,
    experiment: str,
    run: str,
    version: int,
    episodes: int,
    slots: int,
    seed: int,
    actions: str = "greedy",
    max_steps: int = MOST_STEPS,
    timeout_s: float = TIMEOUT_S,
) -> None:
    """Plays evaluation episodes of a pinned weight version and publishes their returns.

    Raises:
        Reject: The task has been delivered too often; its queue dead-letters it.
    """
    task = EvaluateTask(
        request, experiment, run, version, episodes, slots, seed, actions, max_steps, timeout_s
    )
    try:
        _refuse_poison(self, lambda is_over: None)
        _evaluator(os.getpid()).evaluate(task)
    except SoftTimeLimitExceeded:
        log.error("evaluation over its time limit", request=request, experiment=experiment)
    except TinyqueueError as error:
        log.error("evaluation refused", request=request, experiment=experiment, error=str(error))


@functools.cache
def _player(process: int) -> Player:
    return Player(load_settings())


@functools.cache
def _evaluator(process: int) -> Evaluator:
    return Evaluator(load_settings(), make_room=lambda: _player(process).close())


def _refuse_poison(task: Task[Any, Any], tell: Callable[[bool], None]) -> None:
    """Puts aside a task that has crashed its workers.

    Args:
        task: The running task.
        tell: Called if the task was delivered again, with whether it is put aside now.
    """
    info = task.request.delivery_info or {}
    if not info.get("redelivered"):
        return
    with connect(load_settings().redis) as redis:
        attempts = count_attempt(redis, str(task.request.id))
    tell(attempts >= MAX_DELIVERIES)
    if attempts >= MAX_DELIVERIES:
        log.error(
            "task delivered too often; put aside", task=task.request.id, deliveries=attempts + 1
        )
        raise Reject("delivered too often", requeue=False)
