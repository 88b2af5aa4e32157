"""Sending Celery tasks to the workers."""

from __future__ import annotations

import math
import threading
from typing import NoReturn

from amqp.exceptions import AccessRefused, AMQPError, MessageNacked, NotFound
from celery import Celery
from kombu.exceptions import OperationalError

from tinyqueue.bus.task_connection import TaskConnection
from tinyqueue.bus.topology import EVALUATE_QUEUE, TASKS_EXCHANGE
from tinyqueue.errors import ConfigError, ServiceUnreachableError

EXPIRES_S = 600.0
"""A task that nobody took expires after this; the feed forgets it much sooner. It is sent as the
message's ``expiration``, which the broker counts: Celery's ``expires`` is compared with the clock
of a worker, and a worker whose clock is fast would take every task and play none."""
LEAST_LIMIT_S = 30.0
REFUSED_S = 1.0
"""Until the next try, after the broker has refused a task for a reason that lasts."""
HARD_LIMIT_AFTER_S = 30
"""The process is killed this long after the soft limit, which an environment may not notice."""


class TaskSender:
    """Publishes ``play-episode`` and ``evaluate-policy`` tasks. Safe to call from several threads.

    Args:
        app: The Celery app that serialises the tasks.
        connection: The connection to send on. Celery's own pool would wait for a confirm as long
            as a memory alarm of RabbitMQ lasts.
        queue: The play queue of the experiment.
        exchange: From :func:`~tinyqueue.bus.topology.tasks_exchange`.
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
            task_id: Id of the task.
            experiment, run: The run to play for.
            spec_version: The experiment spec to play with.
            budget_s: Seconds to play.
            limit_s: Seconds after which the task is ended; its process is killed 30 s later.

        Raises:
            ServiceUnreachableError: The broker does not accept it.
            ConfigError: It has no such queue, and this process may not declare it.
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
        """Sends an evaluation task.

        Args:
            request: Id of the request, and of the task.
            experiment, run: The run to evaluate.
            version: The weight version to play.
            episodes: Number of evaluation episodes.
            slots: Environments side by side.
            seed: Seed of the evaluation.
            others: Further arguments of the task. Without them, workers of earlier versions
                accept the task too.

        Raises:
            ServiceUnreachableError, ConfigError: As for :meth:`play`.
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
        """Closes the connection at once. The next send would open a new one."""
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
                    # Explicit, since a learner's login may not write to the default exchange.
                    exchange=self._exchange,
                    routing_key=queue,
                    expiration=EXPIRES_S,
                    soft_time_limit=math.ceil(limit_s),
                    time_limit=math.ceil(limit_s + HARD_LIMIT_AFTER_S),
                    retry=False,
                    ignore_result=True,
                    # RabbitMQ confirms a task that finds no queue, and drops it otherwise.
                    mandatory=True,
                    producer=producer,
                )
            except MessageNacked as error:
                raise ServiceUnreachableError(
                    f"the broker refused a {name} task: the queue {queue!r} is full. "
                    "It will be sent again; start workers for this queue, or purge it."
                ) from error
            except (NotFound, AccessRefused) as error:
                # Such as an exchange that has been deleted; the next connection declares it.
                self._connection.pause(REFUSED_S)
                told = f"the broker takes no {name} tasks from this learner: {error}"
                if self._connection.declares:
                    raise ServiceUnreachableError(f"{told}; it will be tried again.") from error
                raise ConfigError(f"{told}. Run scripts/declare-queues.py.") from error
            except (OperationalError, AMQPError, OSError) as error:
                self._connection.failed()
                raise ServiceUnreachableError(
                    f"the broker did not accept a {name} task ({error}); it will be sent again."
                ) from error
            if self._connection.was_returned:
                self._lacks(queue, name)

    def _lacks(self, queue: str, name: str) -> NoReturn:
        """Declares the queue again if that is ours to do; in any case the task was not sent."""
        if self._connection.restore():
            raise ServiceUnreachableError(
                f"there was no queue {queue!r} for a {name} task; it is declared again, and the "
                "task will be sent again."
            )
        raise ConfigError(
            f"the broker has no queue {queue!r}, so workers get no {name} tasks. Declare it with "
            "scripts/declare-queues.py, or set TINYQUEUE_DECLARE=1 for the learner."
        )
