"""Takes in what workers say of evaluations, and keeps only what answers the present request."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from tinyqueue.bus.messages import Delivery
from tinyqueue.evaluation.answers import Answer, NoAnswer
from tinyqueue.evaluation.wanted import Wanted
from tinyqueue.wire.evaluation_signs import SIGN_TYPE, EvaluationSign, decode_sign
from tinyqueue.wire.evaluations import EvaluationResult, decode_evaluation

ADVICE = (
    "workers that take tasks from the queue evaluate need a login of the role evaluator: create it "
    "with scripts/rabbitmq-users.sh (docs/deploying.md). Until then the learner plays the games"
)
"""What to do if the logins are older than the role ``evaluator``."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Heard:
    """A worker's sign that it plays the present request.

    Attributes:
        login: Its broker login; empty on Redis.
        player: Host and process id, for people to read.
    """

    login: str
    player: str


class Inbox:
    """At most one answer to one request, and the last sign of it. Safe in several threads.

    Everything else is dropped as it arrives: answers to other requests, those that differ from the
    request in anything, and whatever comes from a login that may not evaluate.

    Args:
        experiment, run: What is evaluated.
        own_login: The learner's broker login; empty on Redis, where all share one.
        clock: Returns monotonic seconds.
    """

    def __init__(
        self,
        experiment: str,
        run: str,
        own_login: str = "",
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.experiment, self.run, self.own_login = experiment, run, own_login
        self._clock = clock
        self._lock = threading.Lock()
        self._wanted: Wanted | None = None
        self._asked_s = 0.0
        self._answer: Answer | NoAnswer | None = None
        self._sign: Heard | None = None
        self._has_heard = self._has_failed = False
        self._distrusted: set[str] = set()
        """Logins whose signs had no answer in time; at most as many as the broker knows."""
        self._has_told_fault = self._has_told_role = False

    def expect(self, wanted: Wanted | None) -> None:
        """Drops what has come, and takes in answers to this request only; None: to none."""
        with self._lock:
            self._wanted, self._asked_s = wanted, self._clock()
            self._answer = self._sign = None
            self._has_failed = False
            self._has_told_fault = False

    def arrived(self, delivery: Delivery) -> None:
        """Receives a worker's message. Called in the consumer's thread.

        Raises:
            MessageError: Its body is neither a result nor a sign.
        """
        if not delivery.is_evaluators:
            self._tell_role(delivery.login)
        elif delivery.content_type == SIGN_TYPE:
            self._take_sign(decode_sign(delivery.body), delivery.login)
        else:
            self._take_result(decode_evaluation(delivery.body), delivery.login)

    def played(self, request: str, came: EvaluationResult | NoAnswer) -> None:
        """Receives the outcome of the learner's own games."""
        with self._lock:
            if self._is_open_for(request):
                self._answer = came if isinstance(came, NoAnswer) else Answer(came, is_own=True)

    def failed(self, request: str) -> None:
        """Notes that a worker cannot play a request. Called in the consumer's thread."""
        with self._lock:
            self._has_failed |= self._is_open_for(request)

    def take_failed(self) -> bool:
        """Whether a worker has said since the last call that it cannot play this request."""
        with self._lock:
            has_failed, self._has_failed = self._has_failed, False
            return has_failed

    def distrust(self, login: str) -> None:
        """Heeds no more signs of a login, until it has answered a request."""
        with self._lock:
            self._distrusted.add(login)

    def take(self) -> Answer | NoAnswer | None:
        """The answer, once; None while there is none."""
        with self._lock:
            answer, self._answer = self._answer, None
            if answer is not None:
                self._wanted = None
            return answer

    def take_sign(self) -> Heard | None:
        """The last sign of the present request since the last call."""
        with self._lock:
            sign, self._sign = self._sign, None
            return sign

    def take_heard(self) -> bool:
        """Whether a worker has evaluated anything of this run since the last call."""
        with self._lock:
            has_heard, self._has_heard = self._has_heard, False
            return has_heard

    def _is_open_for(self, request: str) -> bool:
        wanted = self._wanted
        return wanted is not None and wanted.request == request and self._answer is None

    def _take_sign(self, sign: EvaluationSign, login: str) -> None:
        with self._lock:
            if not self._hears(sign, login):
                return
            if self._is_open_for(sign.request):
                self._sign = Heard(login, sign.player)

    def _take_result(self, result: EvaluationResult, login: str) -> None:
        with self._lock:
            self._hears(result, login)
            wanted = self._wanted
            if wanted is None or not self._is_open_for(result.request):
                return
            fault = wanted.fault(result, self._clock() - self._asked_s)
            if not fault:
                self._answer = Answer(result, login == self.own_login, login)
                self._distrusted.discard(login)
            is_told = self._has_told_fault
            self._has_told_fault |= bool(fault)
        if not fault:
            log.info("an evaluation was answered", login=login, player=result.player)
        elif not is_told:
            log.warning("an evaluation does not count", login=login, reason=fault)

    def _hears(self, message: EvaluationResult | EvaluationSign, login: str) -> bool:
        """Whether the message is about this run, from a login that is heeded."""
        is_ours = (message.experiment, message.run) == (self.experiment, self.run)
        is_heeded = is_ours and login not in self._distrusted
        self._has_heard |= is_heeded
        return is_heeded

    def _tell_role(self, login: str) -> None:
        if not self._has_told_role:
            self._has_told_role = True
            log.warning("an evaluation does not count", login=login, reason=ADVICE)
