"""The play loop of an environment that owns its clock: observe, infer, act, nothing else.

It runs in the thread that plays the task, the process's main one, as some environments and the
alarm for those that hang require. Batches go to an :class:`~tinyqueue.player.outbox.Outbox`
and weights come from :class:`~tinyqueue.player.policies.NewestPolicy`, each with a thread of its
own. A task ends with an episode, so that between tasks no clock runs.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog

from tinyqueue.player.open_stage import OpenStage
from tinyqueue.player.play_task import PlayReport, PlayTask

LIMIT_SHARE = 0.8
"""Part of a task's time limit after which an episode is left, at a batch's end."""

log = structlog.get_logger(__name__)


def play_episodes(
    opened: OpenStage,
    task: PlayTask,
    deadline_s: float,
    report: PlayReport,
    is_ending: Callable[[], bool],
) -> None:
    """Plays until an episode ends after the task's budget is spent, or nobody trains any more.

    Args:
        opened: A stage with an outbox and a first policy.
        task: The task.
        deadline_s: When its budget is spent, on the monotonic clock.
        report: Where its outcome is noted.
        is_ending: Whether the worker ends: then the task does at the end of a batch.

    Raises:
        TinyqueueError: The broker refuses what this login publishes, or the environment failed.
    """
    stage, policy, outbox = opened.stage, opened.policy, opened.outbox
    assert outbox is not None
    # From the task's start on, of which building the environment may have been a large part.
    limit_s = deadline_s - task.budget_s + LIMIT_SHARE * opened.spec.task_limit_s
    has_told = False

    def may_pause() -> bool:
        return bool(
            (report.batches and time.monotonic() >= deadline_s)
            or outbox.error is not None
            or is_ending()
            or policy.ended()
        )

    while True:
        before_s, cpu_s = time.monotonic(), time.thread_time()
        runner = policy.newest(0.0)
        assert runner is not None
        batch = stage.play_on(runner, task.id, may_pause)
        report.play_cpu_s += time.thread_time() - cpu_s
        if batch is None:
            break
        now_s = time.monotonic()
        opened.note_batch_s(now_s - before_s)
        if not has_told and now_s + 0.5 * opened.batch_s >= deadline_s:
            # This may be the last batch that ends within the task.
            has_told = True
            outbox.ended(task.id)
        outbox.put(batch)
        report.batches += 1
        if is_ending() or (stage.is_between_episodes and may_pause()):
            break
        if now_s >= limit_s:
            _leave_episode(opened)
            break
    if not has_told:
        outbox.ended(task.id)
    report.ended = policy.ended() or report.ended
    if outbox.error is not None:
        raise outbox.error


def _leave_episode(opened: OpenStage) -> None:
    """Says, once per stage, why a task ends in the middle of an episode."""
    if not opened.has_left_episode:
        opened.has_left_episode = True
        log.warning(
            "an episode lasts longer than a play task may: the environment is left until the next "
            "task; raise session.task_limit_s above the longest episode",
            limit_s=opened.spec.task_limit_s,
        )
