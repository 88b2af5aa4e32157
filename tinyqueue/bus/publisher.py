"""Publishing to an experiment's learner, from a player or an evaluating worker."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import amqp
import structlog

from tinyqueue.bus.backoff import Backoff, Reconnects
from tinyqueue.bus.broker import Broker
from tinyqueue.bus.links import PublishingLink
from tinyqueue.bus.messages import Outgoing, PublishOutcome
from tinyqueue.bus.rabbitmq_publishing import RabbitmqExperience
from tinyqueue.bus.redis_publishing import RedisPublishing
from tinyqueue.errors import ConfigError, ServiceUnreachableError

__all__ = ["ExperiencePublisher", "Outgoing", "PublishOutcome"]

ASK_FROM_BYTES = 4096
"""Smaller bodies cost no more than the question whether there is room for them."""
ASK_FOR_S = 60.0
"""How long after a refusal the broker is asked before each publish."""
ASK_S = 1.0
"""How long to wait for the answer."""
SEND_S = 10.0
"""How long a body waits at most for an answer that there is room."""

log = structlog.get_logger(__name__)


class ExperiencePublisher:
    """Publishes messages and reports what became of each. For one thread; create it after a fork.

    Connects at the first publish, and again after trouble. Declares nothing: without an
    exchange there has been no learner.

    Args:
        broker: The broker to publish to.
        user: This process's login at the broker; RabbitMQ refuses a false one.
        queue_batches: Messages that may wait. On RabbitMQ the learner's queue has its own limit.
        learner_is_alive: Called with the experiment on Redis, which does not know who consumes.
        confirm_timeout_s: How long to wait for an answer.
        backoff: How long to pause when the queue is full; by default as players do.
    """

    def __init__(
        self,
        broker: Broker,
        user: str,
        *,
        queue_batches: int,
        learner_is_alive: Callable[[str], bool],
        confirm_timeout_s: float = 5.0,
        backoff: Backoff | None = None,
    ) -> None:
        self._broker = broker
        self._user = user
        self._queue_batches = queue_batches
        self._learner_is_alive = learner_is_alive
        self._confirm_timeout_s = confirm_timeout_s
        self._link: PublishingLink | None = None
        self._backoff = backoff or Backoff()
        self._reconnects = Reconnects()
        self._in_trouble = self._is_away = False
        self._was_sent = True
        self._sent_s = self._full_s = self._ask_from_s = -math.inf

    def publish(self, outgoing: Outgoing) -> PublishOutcome:
        """Publishes once. Trouble with the broker gives UNKNOWN, never an exception.

        Takes at most the time to connect plus ``confirm_timeout_s``, and a second to ask for room.

        Raises:
            ConfigError: RabbitMQ forbids this login to publish this, or the body is too large.
        """
        if not self._broker.reports_no_route and not self._learner_is_alive(outgoing.experiment):
            return PublishOutcome.NO_LEARNER
        if self._has_no_room(outgoing):
            self._is_away = self._was_sent = False
            return PublishOutcome.NO_ROOM
        self._was_sent, self._sent_s = True, time.monotonic()
        deadline_s = time.monotonic() + self._confirm_timeout_s
        # The broker may have closed an idle connection: try once more on a new one.
        idle = self._link is not None
        outcome = self._attempt(outgoing, self._confirm_timeout_s)
        left_s = deadline_s - time.monotonic()
        if outcome is PublishOutcome.UNKNOWN and idle and left_s > 0:
            outcome = self._attempt(outgoing, left_s)
        if outcome is PublishOutcome.CONFIRMED:
            self._backoff.accepted()
        if outcome is PublishOutcome.FULL:
            self._full_s = time.monotonic()
        self._is_away = outcome is PublishOutcome.UNKNOWN
        if not self._is_away:
            self._reconnects.succeeded()
        return outcome

    def publish_patiently(self, outgoing: Outgoing, for_s: float) -> PublishOutcome:
        """Publishes until confirmed or ``for_s`` seconds have passed; returns the last outcome."""
        deadline_s = time.monotonic() + for_s
        while True:
            outcome = self.publish(outgoing)
            left_s = deadline_s - time.monotonic()
            if outcome is PublishOutcome.CONFIRMED or left_s <= 0:
                return outcome
            time.sleep(min(self.pause_s(), left_s))

    def pause_s(self) -> float:
        """Seconds to wait before publishing again a message that was not confirmed.

        If the queue is full, it is in proportion to the time between this publisher's confirmed
        messages, so that the learner is not kept waiting and few bodies travel for nothing. If the
        broker does not answer, it grows to 5 s, at random: a broker that returns is not met by all
        its players at once.
        """
        if self._is_away:
            return self._reconnects.failed()
        return self._backoff.refused(was_sent=self._was_sent)

    def close(self) -> None:
        """Closes the connection at once. The next publish would open a new one."""
        if self._link is not None:
            self._link.close()
            self._link = None

    def _has_no_room(self, outgoing: Outgoing) -> bool:
        """Whether the queue is known to be full, so that the body need not travel.

        Only a large body is worth the question, and only where one has been refused lately. The
        answer may speak of another queue, so that a body is sent now and then all the same.
        """
        now_s = time.monotonic()
        is_worth_it = len(outgoing.body) >= ASK_FROM_BYTES and now_s - self._full_s < ASK_FOR_S
        link = self._link
        may_ask = is_worth_it and now_s >= self._ask_from_s
        if not may_ask or link is None or now_s - self._sent_s > SEND_S:
            return False
        try:
            waiting = link.waiting(outgoing.experiment, ASK_S)
        except link.errors:
            self.close()
            return False
        except BaseException:
            # Such as a task's time limit, which can strike anywhere: an answer may be under way.
            self.close()
            raise
        if waiting is None:
            # A queue that is gone with its learner may come again.
            self._ask_from_s = now_s + ASK_FOR_S
            self.close()
            return False
        return waiting >= self._queue_batches

    def _attempt(self, outgoing: Outgoing, timeout_s: float) -> PublishOutcome:
        try:
            link = self._link = self._link or self._connect()
        except ServiceUnreachableError as error:
            return self._trouble(error)
        try:
            outcome = link.send(outgoing, timeout_s)
        except amqp.exceptions.NotFound:
            # No exchange: there has been no learner yet.
            self.close()
            return PublishOutcome.NO_LEARNER
        except (amqp.exceptions.AccessRefused, amqp.exceptions.PreconditionFailed) as error:
            self.close()
            raise ConfigError(
                f"the broker at {self._broker.masked_url} refuses what {self._user!r} publishes "
                f"to experiment {outgoing.experiment!r}: {error}. {_advice(outgoing)}"
            ) from error
        except link.errors as error:
            self.close()
            return self._trouble(error)
        except BaseException:
            # Such as a task's time limit, which can strike anywhere: an answer may be under way.
            self.close()
            raise
        if self._in_trouble:
            log.info("publishing works again", broker=self._broker.masked_url)
            self._in_trouble = False
        return outcome

    def _connect(self) -> PublishingLink:
        if self._broker.kind == "redis":
            return RedisPublishing(self._broker, self._queue_batches)
        return RabbitmqExperience(self._broker, self._user)

    def _trouble(self, error: BaseException) -> PublishOutcome:
        if not self._in_trouble:
            log.warning(
                "publish without an answer; retrying",
                broker=self._broker.masked_url,
                error=str(error) or type(error).__name__,
            )
        self._in_trouble = True
        return PublishOutcome.UNKNOWN


def _advice(outgoing: Outgoing) -> str:
    if outgoing.is_evaluation:
        return (
            "Evaluations need a login of the role evaluator (scripts/rabbitmq-users.sh, "
            "docs/deploying.md): give this worker one, or take evaluate out of its queues (-Q)."
        )
    return "Correct the login's permissions or TINYQUEUE_USER."
