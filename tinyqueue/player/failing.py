"""A task that cannot be played is reported to the learner.

The person who started the run watches the learner's terminal, not the log of a player that
may be on another machine.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

from tinyqueue.bus.publisher import ExperiencePublisher, Outgoing, PublishOutcome
from tinyqueue.data.identity import new_id
from tinyqueue.envs.faults import is_time_limit, user_place
from tinyqueue.errors import EnvironmentFailedError, ServiceUnreachableError, TinyqueueError
from tinyqueue.wire.failures import FAILURE_TYPE, TaskFailure, encode_failure

TELL_S = 2.0
"""How long to keep offering a failure to a learner whose queue is full."""
WAITING = 64
"""Messages that may wait at a learner on Redis, where the sender's script bounds the queue."""

log = structlog.get_logger(__name__)


def failure_text(error: BaseException, limit_s: float) -> tuple[str, str]:
    """The kind and text of an error that kept a task from being played.

    Args:
        error: What was raised.
        limit_s: The task's time limit.
    """
    if is_time_limit(error):
        place = user_place(error.__traceback__)
        return "time-limit", (
            f"a play task was not over within its limit of {limit_s:.0f} s"
            f"{f', last seen at {place}' if place else ''}: building, resets or steps take "
            "too long, or one hangs. Lower session.slots or session.ticks, or raise "
            "session.task_limit_s"
        )
    if isinstance(error, EnvironmentFailedError | ServiceUnreachableError):
        return error.kind, str(error)
    kind = type(error).__name__
    if isinstance(error, TinyqueueError):
        return kind, str(error)
    place = user_place(error.__traceback__)
    return kind, f"{kind}: {error}{f' (at {place})' if place else ''}"


class FailureTeller:
    """Reports one player's failed tasks to the learner.

    Args:
        publisher: Makes the publisher; called at the first failure.
    """

    def __init__(self, publisher: Callable[[], ExperiencePublisher]) -> None:
        self._make_publisher = publisher
        self._publisher: ExperiencePublisher | None = None

    def tell(self, failure: TaskFailure) -> None:
        """Publishes a failure. Trouble is only logged, since nothing depends on its arrival."""
        message = Outgoing(
            experiment=failure.experiment,
            body=encode_failure(failure),
            content_type=FAILURE_TYPE,
            message_id=new_id(),
            correlation_id=failure.task,
            headers={},
        )
        try:
            publisher = self._publisher = self._publisher or self._make_publisher()
            outcome = publisher.publish_patiently(message, for_s=TELL_S)
        except TinyqueueError as error:
            log.error("cannot tell the learner of a failure", error=str(error))
            return
        if outcome is not PublishOutcome.CONFIRMED:
            log.warning("the learner was not told of a failure", outcome=outcome.value)
