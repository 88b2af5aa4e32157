"""Where messages go that the learner does not accept: each with a reason, and confirmed.

What is set aside must never hold up what is good. So a letter that the broker refuses for itself
is replaced by a short one that says so. Once a login has thousands of them, most are dropped;
everyone's are while no letter can be put for a minute although the learner's own connection lives.
What is dropped is counted and told.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import structlog
from amqp.exceptions import AMQPError

from tinyqueue.bus.allowance import Allowance
from tinyqueue.bus.broker import Broker
from tinyqueue.bus.letter_links import Letter, LetterLink, RedisLetters, rabbitmq_letters
from tinyqueue.bus.messages import Delivery, PublishOutcome
from tinyqueue.bus.seldom import Seldom
from tinyqueue.errors import ConfigError, ServiceUnreachableError
from tinyqueue.wire.fields import short_text

RETRY_S = 5.0
PATIENCE_S = 60.0
"""After so long without a letter put, letters are dropped."""
_NOBODY_ASKED_S = 5.0
"""A longer gap between two tries means that the learner itself was without a connection."""
FORGOTTEN_S = 600.0
"""After so long without a try, letters are waited for again. Sooner, a bad message now and then
could hold up training for most of the time."""
TRIES = 3
"""So often a letter may fail without an answer before a short one is put in its place."""
KEPT_AT_ONCE, KEPT_PER_S = 1000, 10.0
"""Letters of each login that are kept with their content; a flood of them costs little then."""
_MOST_LOGINS = 256
_REFUSALS = frozenset({311, 406, 501, 502, 503, 505})
"""AMQP reply codes that are about what was sent: its size, its frames, its syntax."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class _Failure:
    """Why a letter was not put.

    Attributes:
        told: In words.
        is_its_own: Whether the broker refused exactly this letter.
        is_away: Whether there was no connection to try it on.
    """

    told: str
    is_its_own: bool = False
    is_away: bool = False


class DeadLetters:
    """Publishes to ``tinyqueue.dead`` on its own connection, opened when first needed.

    Args:
        broker: The broker to publish to.
        experiment: Named in every dead letter, and the routing key.
        declare: Whether to declare the exchange and the queue.
    """

    def __init__(self, broker: Broker, experiment: str, *, declare: bool) -> None:
        self._broker = broker
        self._experiment = experiment
        self._declare = declare
        self._link: LetterLink | None = None
        self._not_before_s = 0.0
        self._in_trouble_since_s: float | None = None
        self._is_hopeless = False
        self._last: Delivery | None = None
        self._tries = 0
        self._say_later = Seldom(log.warning, "message not set aside yet; retrying")
        self._say_dropped = Seldom(log.error, "message set aside without its content")
        self._kept: dict[str, Allowance] = {}
        self.dropped = 0
        """Messages whose content was dropped, since no letter could hold it or be put."""

    def check(self) -> None:
        """Looks at the start whether letters can be put, since a queue may not be declared.

        Raises:
            ConfigError: There is no such queue and this process may not declare it.
        """
        try:
            self._connect().close()
        except ServiceUnreachableError as error:
            # Such as its node being down, which is temporary.
            log.warning("cannot look for the queue of dead letters", error=str(error))

    def put(self, delivery: Delivery, reason: str) -> bool:
        """Keeps a message as a dead letter, and returns whether that is done.

        If not, call it again later; calls within :data:`RETRY_S` of a failure do nothing. It is
        also done once the message is dropped because it cannot be kept.
        """
        now_s = time.monotonic()
        if now_s < self._not_before_s:
            return self._is_hopeless and self._drop(reason, "no letter can be put")
        if delivery is not self._last and not self._may_keep(delivery.login, now_s):
            return self._drop(reason, f"login {delivery.login!r} has too many set aside")
        letter = self._letter(delivery, reason)
        failure = self._try(letter)
        if failure is None:
            self._well()
            return True
        if delivery is not self._last:
            self._last, self._tries = delivery, 0
        self._tries += not failure.is_away
        if failure.is_its_own or (self._tries >= TRIES and not failure.is_away):
            told = short_text(f"{len(letter.body)} bytes: {failure.told}")
            short = Letter(b"", {**letter.headers, "left_out": told}, letter.properties)
            if self._try(short) is None:
                self._well()
                return self._drop(reason, failure.told)
        return self._later(reason, failure, now_s)

    def close(self) -> None:
        """Closes the connection at once; the next :meth:`put` reconnects."""
        if self._link is not None:
            self._link.close()
            self._link = None

    def _may_keep(self, login: str, now_s: float) -> bool:
        if login not in self._kept and len(self._kept) >= _MOST_LOGINS:
            login = "*"
        allowance = self._kept.setdefault(login, Allowance(KEPT_AT_ONCE, now_s))
        return allowance.take(now_s, KEPT_AT_ONCE, KEPT_PER_S)

    def _letter(self, delivery: Delivery, reason: str) -> Letter:
        own = {"reason": reason, "experiment": self._experiment, "login": delivery.login}
        return Letter(
            delivery.body,
            {**delivery.headers, **own},
            {
                "content_type": delivery.content_type,
                "message_id": delivery.message_id,
                "correlation_id": delivery.correlation_id,
            },
        )

    def _try(self, letter: Letter) -> _Failure | None:
        """Puts a letter; tries again at once if an idle connection was closed meanwhile."""
        was_open = self._link is not None
        failure = self._put(letter)
        return self._put(letter) if failure is not None and was_open else failure

    def _put(self, letter: Letter) -> _Failure | None:
        try:
            link = self._link = self._link or self._connect()
        except (ServiceUnreachableError, ConfigError) as error:
            # Or there is no such queue any more, which an operator may declare again.
            return _Failure(str(error), is_away=True)
        try:
            outcome = link.put(letter, self._experiment)
        except link.errors as error:
            self.close()
            code = error.reply_code if isinstance(error, AMQPError) else None
            return _Failure(str(error) or type(error).__name__, code in _REFUSALS)
        except Exception as error:
            # It cannot even be written down.
            self.close()
            return _Failure(repr(error), is_its_own=True)
        if outcome is PublishOutcome.CONFIRMED:
            return None
        self.close()
        return _Failure(f"the broker's answer: {outcome.value}")

    def _well(self) -> None:
        self._in_trouble_since_s, self._is_hopeless = None, False
        self._last, self._tries = None, 0

    def _later(self, reason: str, failure: _Failure, now_s: float) -> bool:
        self._say_later(reason=reason, error=failure.told)
        since_s = self._in_trouble_since_s
        # After a while without a try the broker itself was away, which costs no letter.
        if since_s is None or now_s > self._not_before_s + _NOBODY_ASKED_S:
            since_s = now_s
        if now_s > self._not_before_s + FORGOTTEN_S:
            self._is_hopeless = False
        self._in_trouble_since_s = since_s
        self._is_hopeless = self._is_hopeless or now_s - since_s >= PATIENCE_S
        self._not_before_s = time.monotonic() + RETRY_S
        return self._is_hopeless and self._drop(reason, failure.told)

    def _drop(self, reason: str, error: str) -> bool:
        self.dropped += 1
        self._say_dropped(reason=reason, error=error, dropped=self.dropped)
        return True

    def _connect(self) -> LetterLink:
        if self._broker.kind == "redis":
            return RedisLetters(self._broker)
        return rabbitmq_letters(self._broker, declare=self._declare)
