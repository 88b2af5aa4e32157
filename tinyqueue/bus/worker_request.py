"""A task as the worker's main process sees it.

* It has no time limit there. The main process does not learn of a task's end while it tries to
  reach its broker. Its limits would then strike a child that is idle, or at work on the next task:
  a broker outage of half a minute would end all of them. So the child watches its own limits
  (:mod:`tinyqueue.local.time_limits`).
* A child can end the whole worker by raising :class:`UnfitWorkerError`.
* A child whose process ends in the middle of a task cannot say so: :data:`process_ended` does.
"""

from __future__ import annotations

import os
import re
from typing import Any

import structlog
from celery.exceptions import WorkerLostError
from celery.utils.dispatch import Signal
from celery.worker import state
from celery.worker.request import Request

from tinyqueue.errors import TinyqueueError

log = structlog.get_logger(__name__)

process_ended = Signal(name="process_ended", providing_args=("request", "exit_code"))
"""Sent in the main process, before the task is put back, when a process ended in its middle.

A worker that is ending itself does not send it.
"""
_STATUS = re.compile(r"prematurely: (exitcode|signal) (-?\d+)")


class UnfitWorkerError(TinyqueueError):
    """Raised in a pool child: this worker can play nothing that it is given, and ends."""


class WorkerRequest(Request):
    """A request whose time limits are left to the process that plays it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.time_limits = (None, None)

    def on_failure(self, exc_info: Any, *args: Any, **kwargs: Any) -> Any:
        """Called by Celery in the main process when the task has raised."""
        # It comes from a child wrapped with its traceback.
        error = getattr(exc_info.exception, "exc", exc_info.exception)
        code = exit_code_of(error)
        if code is not None and state.should_stop is None and state.should_terminate is None:
            process_ended.send(sender=self.task, request=self, exit_code=code)
        try:
            return super().on_failure(exc_info, *args, **kwargs)
        finally:
            if isinstance(error, UnfitWorkerError) and state.should_stop is None:
                log.critical(str(error))
                vars(state)["should_stop"] = os.EX_CONFIG


def exit_code_of(error: object) -> int | None:
    """How the process of a task ended: its exit code, or a signal's number with a minus.

    Args:
        error: What Celery's main process was given as the task's error.

    Returns:
        None if the process lives on.
    """
    if isinstance(error, SystemExit):
        # It reports this just before it ends.
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    found = _STATUS.search(str(error)) if isinstance(error, WorkerLostError) else None
    if found is None:
        return None
    return int(found[2]) if found[1] == "exitcode" else -int(found[2])
