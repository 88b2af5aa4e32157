"""Signs of life: an evaluating worker tells the learner every few seconds that it is playing."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Self

from tinyqueue.bus.publisher import ExperiencePublisher, Outgoing, PublishOutcome
from tinyqueue.errors import ConfigError, ServiceUnreachableError
from tinyqueue.wire.evaluation_signs import SIGN_TYPE, EvaluationSign, encode_sign

EVERY_S = 2.0
"""Seconds between two signs. A learner waits for five of them (``evaluation.here_after_s``)."""

STUCK_S = 120.0
"""No signs are given for games that have stood still for this long. Building a hundred environments
takes less."""


class Telling:
    """A block in which a thread publishes a sign immediately, and then every few seconds.

    It is a thread because building the environments of many slots may take longer than a learner
    waits. It ends with its process, so a killed worker falls silent, and so does one whose games
    hang.

    Args:
        publisher: Used only by this thread until the block ends.
        sign: The message.
        every_s: Seconds between two signs.
    """

    def __init__(
        self, publisher: ExperiencePublisher, sign: EvaluationSign, every_s: float = EVERY_S
    ) -> None:
        self._publisher = publisher
        self._sign = sign
        self._body = encode_sign(sign)
        self._every_s = every_s
        self._moved_s = time.monotonic()
        self._refusal: ConfigError | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._tell, name="telling", daemon=True)

    def moved(self, *_: object) -> None:
        """Notes that the games are moving. The player of the games calls it.

        Raises:
            ConfigError: The broker refuses what this login says of evaluations, so nobody would
                get the result either.
        """
        if self._refusal is not None:
            raise self._refusal
        self._moved_s = time.monotonic()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()

    def _tell(self) -> None:
        number = 0
        while not self._over.is_set():
            if time.monotonic() - self._moved_s > STUCK_S:
                self._over.wait(self._every_s)
                continue
            try:
                outcome = self._publisher.publish(self._message(number))
            except ServiceUnreachableError:
                # The store, which knows the learners, is unreachable: as if the broker were.
                outcome = PublishOutcome.UNKNOWN
            except ConfigError as error:
                self._refusal = error
                return
            number += outcome is PublishOutcome.CONFIRMED
            self._over.wait(self._publisher.pause_s() if outcome.is_full else self._every_s)

    def _message(self, number: int) -> Outgoing:
        return Outgoing(
            experiment=self._sign.experiment,
            body=self._body,
            content_type=SIGN_TYPE,
            # A new id each time: a learner treats two messages with one id as the same message.
            message_id=f"{self._sign.request}:{number}",
            correlation_id=self._sign.request,
            headers={},
            is_evaluation=True,
        )
