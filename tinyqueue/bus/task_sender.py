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
"""A task nobody took is void after this; the feed forgets it much sooner. Said as the message's
``expiration``, which the broker counts: Celery's ``expires`` is compared with the clock of a
worker, and one that runs ahead would take every task and play none."""
LEAST_LIMIT_S = 30.0
HARD_LIMIT_AFTER_S = 30
"""After the soft limit, which an environment may not notice, its process is killed."""


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
        self,
        task_id: str,
        *,
        experiment: str,
        run: str,
        spec_version: int,
        budget_s: float,
        limit_s: float = LEAST_LIMIT_S,
    ) -> None:
        """Sends a play task.

        Args:
            budget_s: Seconds that it is played.
            limit_s: Seconds after which it is ended; its process, 30 s later.

        Raises:
            ServiceUnreachableError: The broker does not take it.
        """
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
            limit_s,
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
            3 * EXPIRES_S,
        )

    def close(self) -> None:
        """Lets the connection go, at once. The next send would make a new one."""
        with self._lock:
            self._connection.close()

    def _send(
        self, name: str, task_id: str, queue: str, kwargs: dict[str, object], limit_s: float
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
                    expiration=EXPIRES_S,
                    soft_time_limit=math.ceil(limit_s),
                    time_limit=math.ceil(limit_s + HARD_LIMIT_AFTER_S),
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
