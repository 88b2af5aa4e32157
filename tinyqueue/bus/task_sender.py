"""Sending the Celery tasks, from whoever feeds the workers."""

from __future__ import annotations

import math
import threading

from amqp.exceptions import MessageNacked
from celery import Celery
from kombu.exceptions import OperationalError

from tinyqueue.bus.task_connection import TaskConnection
from tinyqueue.bus.topology import EVALUATE_QUEUE, TASKS_EXCHANGE
from tinyqueue.errors import ServiceUnreachableError

EXPIRES_S = 600.0
"""A task nobody took is void after this. Workers compare it with their own clock, so it is
long enough for clocks that are minutes apart; the feed forgets a task much sooner."""
LEAST_SOFT_LIMIT_S, LEAST_HARD_LIMIT_S = 30, 60
"""Room for a first task, which builds its environments."""


class TaskSender:
    """Publishes ``play-episode`` and ``evaluate-policy`` tasks. Safe to call from several threads.

    Args:
        app: How tasks are written.
        connection: Where they are sent. Celery's own pool waits for a confirm for ever, as
            long as a memory alarm of RabbitMQ lasts.
        queue: The play queue of the experiment.
        exchange: As :func:`~tinyqueue.bus.topology.tasks_exchange` says.
    """

    def __init__(
        self,
        app: Celery,
        connection: TaskConnection,
        queue: str,
        exchange: str = TASKS_EXCHANGE,
    ) -> None:
        self._app = app
        self._connection = connection
        self._lock = threading.Lock()
        self._queue = queue
        self._exchange = exchange

    def play(
        self, task_id: str, *, experiment: str, run: str, spec_version: int, budget_s: float
    ) -> None:
        """Raises ServiceUnreachableError when the broker does not take it."""
        self._send(
            "play-episode",
            task_id,
            self._queue,
            {
                "experiment": experiment,
                "run": run,
                "spec_version": spec_version,
                "budget_s": budget_s,
            },
            budget_s,
        )

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
        **others: str | float,
    ) -> None:
        """Raises ServiceUnreachableError when the broker does not take it.

        Args:
            others: What the task takes besides; where left out, also workers of an earlier
                version take it.
        """
        self._send(
            "evaluate-policy",
            request,
            EVALUATE_QUEUE,
            {
                "request": request,
                "experiment": experiment,
                "run": run,
                "version": version,
                "episodes": episodes,
                "slots": slots,
                "seed": seed,
                **others,
            },
            EXPIRES_S,
        )

    def close(self) -> None:
        """Lets the connection go, at once. The next send would make a new one."""
        with self._lock:
            self._connection.close()

    def _send(
        self, name: str, task_id: str, queue: str, kwargs: dict[str, object], budget_s: float
    ) -> None:
        with self._lock:
            producer = self._connection.producer()
            try:
                self._app.send_task(
                    name,
                    kwargs=kwargs,
                    task_id=task_id,
                    queue=queue,
                    # Named, since a learner's login may not write to the default exchange.
                    exchange=self._exchange,
                    routing_key=queue,
                    expires=EXPIRES_S,
                    soft_time_limit=max(math.ceil(3 * budget_s), LEAST_SOFT_LIMIT_S),
                    time_limit=max(math.ceil(5 * budget_s), LEAST_HARD_LIMIT_S),
                    retry=False,
                    ignore_result=True,
                    producer=producer,
                )
            except MessageNacked as error:
                raise ServiceUnreachableError(
                    f"the broker refused a {name} task: the queue {queue!r} is full. "
                    "It is sent again; start workers that take from this queue, or purge it."
                ) from error
            except (OperationalError, OSError) as error:
                self._connection.failed()
                raise ServiceUnreachableError(
                    f"the broker did not take a {name} task ({error}); it is sent again."
                ) from error
