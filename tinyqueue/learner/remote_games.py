"""Evaluation by whichever worker takes the task; by the learner itself when none does."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from tinyqueue.errors import TinyqueueError
from tinyqueue.experiment.sections import EvaluationConfig
from tinyqueue.wire.evaluations import EvaluationResult
from tinyqueue.wire.weights import WeightVersion

PIN_S = 120.0
"""How long an evaluated version is kept for the worker that plays it."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class _Asked:
    request: str
    weights: WeightVersion
    seed: int
    at_s: float


class RemoteGames:
    """Sends ``evaluate-policy`` tasks and takes the first answer.

    Args:
        config: How many games, and how long an answer may take.
        pin: Keeps a version in the store for some seconds.
        send: Sends the task; its arguments are those of ``evaluate-policy``.
        play_here: Plays the games in this process, for when no worker evaluates.
    """

    def __init__(
        self,
        config: EvaluationConfig,
        *,
        pin: Callable[[int, float], None],
        send: Callable[[str, int, int], None],
        play_here: Callable[[WeightVersion, str, int], EvaluationResult],
    ) -> None:
        self._config = config
        self._pin = pin
        self._send = send
        self._play_here = play_here
        self._results: queue.SimpleQueue[EvaluationResult | Exception] = queue.SimpleQueue()
        self._asked: _Asked | None = None
        self._workers_answer = config.here_after_s > 0

    def request(self, weights: WeightVersion, request: str, seed: int) -> None:
        self._asked = _Asked(request, weights, seed, time.monotonic())
        if not self._workers_answer:
            self._start_here()
            return
        try:
            self._pin(weights.version, PIN_S)
            self._send(request, weights.version, seed)
        except TinyqueueError as error:
            log.warning("evaluation task not sent; played here", error=str(error))
            self._start_here()

    def arrived(self, result: EvaluationResult) -> None:
        """A result has come by message. Called in the consumer's thread."""
        self._results.put(result)

    def poll(self) -> EvaluationResult | None:
        """The result of the last request, once.

        Raises:
            TinyqueueError: The games could not be played here either.
        """
        while True:
            try:
                result = self._results.get_nowait()
            except queue.Empty:
                break
            if isinstance(result, Exception):
                raise result
            if self._asked and result.request == self._asked.request:
                self._asked = None
                return result
        asked = self._asked
        waited_s = time.monotonic() - asked.at_s if asked else 0.0
        if self._workers_answer and waited_s > self._config.here_after_s:
            log.info(
                "no worker evaluates; the learner plays the games", waited_s=round(waited_s, 1)
            )
            self._workers_answer = False
            self._start_here()
        return None

    def _start_here(self) -> None:
        asked = self._asked
        if asked is not None:
            threading.Thread(
                target=self._play, args=(asked,), name="evaluation", daemon=True
            ).start()

    def _play(self, asked: _Asked) -> None:
        try:
            self._results.put(self._play_here(asked.weights, asked.request, asked.seed))
        except Exception as error:
            # Raised again in the trainer's thread: without an answer a run would never end.
            self._results.put(error)
