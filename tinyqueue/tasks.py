"""The Celery tasks: thin, and safe to run twice.

One player and one evaluator are created per process, in its first task: sockets, threads
and inference sessions must not exist before a pool forks.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any

import structlog
from celery import Task
from celery.exceptions import Reject, SoftTimeLimitExceeded
from celery.signals import (
    worker_init,
    worker_process_shutdown,
    worker_shutdown,
    worker_shutting_down,
)

from tinyqueue.bus.worker_request import UnfitWorkerError, WorkerRequest, process_ended
from tinyqueue.celery import app
from tinyqueue.errors import TinyqueueError
from tinyqueue.evaluation.score import MOST_STEPS, TIMEOUT_S
from tinyqueue.evaluation.worker import EvaluateTask, Evaluator
from tinyqueue.local.time_limits import time_limits
from tinyqueue.local.worker_wide import WorkerWide
from tinyqueue.player.player import Player, PlayTask
from tinyqueue.player.process_end import ProcessEnd
from tinyqueue.player.rests import Rests, growth_of, is_unfit
from tinyqueue.settings import load_settings, player_name
from tinyqueue.store.attempts import count_attempt
from tinyqueue.store.client import connect

MAX_DELIVERIES = 3
"""A task that was delivered this many times again has crashed its workers, and is put aside."""
LIMITS_S = (3000.0, 1800.0)
"""Hard and soft time limit of a task that was sent without: several times the longest budget."""

log = structlog.get_logger(__name__)


@app.task(name="play-episode", bind=True, Request=WorkerRequest, throws=(UnfitWorkerError,))
def play_episode(
    self: Task[Any, Any], experiment: str, run: str, spec_version: int, budget_s: float
) -> None:
    """Plays sessions for an experiment until the budget is spent.

    Raises:
        Reject: The task has been delivered too often; its queue dead-letters it.
        UnfitWorkerError: This machine has refused many tasks and played none.
    """
    task = PlayTask(str(self.request.id), experiment, run, spec_version, budget_s)
    hard_s, soft_s = _limits(self)
    player: Player | None = None
    try:
        with time_limits(soft_s, hard_s):
            player = _player(os.getpid())
            _tell_of_ends(player)
            _refuse_poison(self, lambda is_over: player.lost(task, ended=is_over))
            report = player.play(task)
    except (Reject, SystemExit, KeyboardInterrupt):
        raise
    except Exception as error:
        if not isinstance(error, TinyqueueError | SoftTimeLimitExceeded):
            log.exception("play task failed", task=task.id)
        if player is None:
            log.error("play task refused", task=task.id, error=str(error))
        else:
            player.failed(task, error, soft_s)
        _rest(experiment, error)
        return
    if report.batches:
        _rests(os.getpid()).played(experiment)
        _worker_wide().played()


@app.task(name="evaluate-policy", bind=True, Request=WorkerRequest, throws=(UnfitWorkerError,))
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
        UnfitWorkerError: This machine has refused many tasks and played none.
    """
    task = EvaluateTask(
        request, experiment, run, version, episodes, slots, seed, actions, max_steps, timeout_s
    )
    hard_s, soft_s = _limits(self)
    try:
        with time_limits(soft_s, hard_s):
            _tell_of_ends(_player(os.getpid()))
            _refuse_poison(self, lambda is_over: None)
            _evaluator(os.getpid()).evaluate(task)
    except SoftTimeLimitExceeded:
        log.error("evaluation over its time limit", request=request, experiment=experiment)
    except TinyqueueError as error:
        _player(os.getpid()).not_evaluated(request, experiment, run, error)
        log.error("evaluation refused", request=request, experiment=experiment, error=str(error))
        _rest(experiment, error)
    else:
        _worker_wide().played()


@worker_init.connect
def share(**_: Any) -> None:
    """Makes what the worker's processes share, before the pool forks."""
    _worker_wide()
    # Its last part is theirs too.
    player_name()


@process_ended.connect
def hand_on_end(request: Any, exit_code: int, **_: Any) -> None:
    """Has another process of the worker tell the learner that one has ended."""
    given = request.kwargs
    player = player_name(request.worker_pid)
    end = ProcessEnd(request.id, given["experiment"], given["run"], player, exit_code)
    _worker_wide().ended.put(end)


@worker_shutting_down.connect
def end_rests(**_: Any) -> None:
    """Lets a worker that is told to stop do so at once."""
    _worker_wide().end_rests()


@worker_process_shutdown.connect
@worker_shutdown.connect
def save_unpublished(**_: Any) -> None:
    """Publishes or saves what this process has played and not published."""
    if _player.cache_info().currsize:
        _player(os.getpid()).save()


@functools.cache
def _worker_wide() -> WorkerWide:
    return WorkerWide()


@functools.cache
def _rests(process: int) -> Rests:
    return Rests()


@functools.cache
def _player(process: int) -> Player:
    return Player(load_settings(), is_ending=_worker_wide().is_ending)


@functools.cache
def _evaluator(process: int) -> Evaluator:
    return Evaluator(load_settings(), make_room=lambda: _player(process).close())


def _tell_of_ends(player: Player) -> None:
    """Tells learners of processes of this worker that have ended since the last task."""
    for end in _worker_wide().ended.take():
        player.process_ended(end)


def _limits(task: Task[Any, Any]) -> tuple[float, float]:
    """Hard and soft time limit in seconds, as its sender wishes."""
    hard_s, soft_s = task.request.timelimit or (None, None)
    return hard_s or LIMITS_S[0], soft_s or LIMITS_S[1]


def _rest(experiment: str, error: Exception) -> None:
    """Rests before a failed task is acked, or ends a worker that can play nothing.

    Raises:
        UnfitWorkerError: This machine has refused many tasks and played none.
    """
    _worker_wide().rest(_rests(os.getpid()).failed(experiment, growth_of(error)))
    if is_unfit(error) and _worker_wide().refused():
        _worker_wide().end_rests()
        raise UnfitWorkerError(
            f"this worker has played nothing and refused every task, most recently one of "
            f"{experiment!r}: {error} It ends itself, so that the tasks go to workers that can "
            "play them. Correct this and start it again, or let it serve other queues (-Q)."
        )


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
