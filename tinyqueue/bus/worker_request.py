"""A task as the worker's main process sees it.

* It has no time limit there. The main process does not learn of a task's end while it tries to
  reach its broker. Its limits would then strike a child that is idle, or at work on the next task:
  a broker outage of half a minute would end all of them. So the child watches its own limits
  (:mod:`tinyqueue.local.time_limits`).
* A child can end the whole worker by raising :class:`UnfitWorkerError`.
"""

from __future__ import annotations

import os
from typing import Any

import structlog
from celery.worker import state
from celery.worker.request import Request

from tinyqueue.errors import TinyqueueError

log = structlog.get_logger(__name__)


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
        try:
            return super().on_failure(exc_info, *args, **kwargs)
        finally:
            if isinstance(error, UnfitWorkerError) and state.should_stop is None:
                log.critical(str(error))
                vars(state)["should_stop"] = os.EX_CONFIG
