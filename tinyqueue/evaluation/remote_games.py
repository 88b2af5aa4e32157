"""Evaluations by whichever worker takes the task, or by the learner itself if none does."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from tinyqueue.errors import TinyqueueError
from tinyqueue.evaluation.threshold import NoAnswer
from tinyqueue.experiment.sections import EvaluationConfig
from tinyqueue.wire.evaluation_signs import EvaluationSign
from tinyqueue.wire.evaluations import EvaluationResult
from tinyqueue.wire.weights import WeightVersion

PIN_S = 120.0
"""How long the store keeps an evaluated version for its worker, beyond ``here_after_s``. A worker
fetches it before its first sign, so the length of its games does not matter; a worker that takes
the task later finds no weights and gives no sign."""
LOOK_S = 1.0
"""The time between two polls counts as silence only up to this limit: an update may take long, and
messages wait behind session batches meanwhile."""

GRACE_S = 30.0
"""How long to wait for an answer after ``evaluation.timeout_s``, when games end by themselves."""

log = structlog.get_logger(__name__)


@dataclass
class _Asked:
    """The request that has no answer yet.

    Attributes:
        request: Its id.
        weights: The weights to evaluate.
        seed: Seed of the games.
        actions: How actions are chosen.
        asked_s: When it was made, on the clock.
        silent_s: Seconds since the last sign of a worker, or since it was sent, as far as they
            count (:data:`LOOK_S`).
        player: The worker that gave the last sign; empty without one.
        here: Whether it is played in this process.
        thread: The thread that plays it, if so.
    """

    request: str
    weights: WeightVersion
    seed: int
    actions: str
    asked_s: float
    silent_s: float = 0.0
    player: str = ""
    here: bool = False
    thread: threading.Thread | None = None


@dataclass(frozen=True)
class _Played:
    """The outcome of games in this process."""

    request: str
    came: EvaluationResult | NoAnswer


class RemoteGames:
    """Sends ``evaluate-policy`` tasks and takes the first answer.

    A worker that plays gives a sign every few seconds. If no worker has given a sign of a request
    for ``here_after_s``, the learner plays its games itself, and later ones immediately, until it
    hears from a worker again. Meanwhile it keeps sending tasks, every time at first and then less
    and less often, as the task feed does: so workers that start later are found, and few tasks
    pile up if there are none.

    Args:
        config: How long games may take, and how long to wait for a sign.
        pin: Keeps a version in the store for some seconds.
        send: Sends the task; its arguments are those of ``evaluate-policy``.
        play_here: Plays the games in this process if no worker does.
        clock: Returns monotonic seconds.
    """

    def __init__(
        self,
        config: EvaluationConfig,
        *,
        pin: Callable[[int, float], None],
        send: Callable[[str, int, int, str], None],
        play_here: Callable[[WeightVersion, str, int, str], EvaluationResult],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._here_after_s = config.here_after_s
        self._most_s = config.timeout_s + GRACE_S
        self._pin = pin
        self._send = send
        self._play_here = play_here
        self._clock = clock
        self._come: queue.SimpleQueue[EvaluationResult | EvaluationSign | _Played]
        self._come = queue.SimpleQueue()
        self._asked: _Asked | None = None
        self._unheeded = 0
        """Requests in a row that were played here, since the last sign of a worker."""
        self._looked_s = 0.0
        self._hanging: threading.Thread | None = None

    def request(self, weights: WeightVersion, request: str, seed: int, actions: str) -> None:
        """Sends the task and returns; without workers, starts the games in a thread."""
        self._asked = None
        self._take_in()
        self._looked_s = self._clock()
        self._asked = asked = _Asked(request, weights, seed, actions, self._looked_s)
        # 0, 1, 2, 4, 8 and so on.
        asks = self._here_after_s > 0 and self._unheeded & (self._unheeded - 1) == 0
        sent = asks and self._sent(asked)
        if self._unheeded or not sent:
            self._start_here(asked)
        self._unheeded += self._unheeded > 0

    def arrived(self, message: EvaluationResult | EvaluationSign) -> None:
        """Receives a worker's message. Called in the consumer's thread."""
        self._come.put(message)

    def poll(self) -> EvaluationResult | NoAnswer | None:
        """The answer to the last request, once; None while there is none."""
        found = self._take_in()
        asked = self._asked
        if found is not None or asked is None:
            self._asked = None
            return found
        now_s = self._clock()
        asked.silent_s += min(now_s - self._looked_s, LOOK_S)
        self._looked_s = now_s
        if now_s - asked.asked_s > self._most_s:
            return self._given_up(asked)
        if not asked.here and asked.silent_s > self._here_after_s:
            log.info(
                "no sign of an evaluating worker; the learner plays the games",
                request=asked.request,
                last_heard=asked.player or "nobody",
            )
            self._unheeded = 1
            self._start_here(asked)
        return None

    def _given_up(self, asked: _Asked) -> NoAnswer:
        """Neither a worker's signs nor a game that hangs may keep a run from ending."""
        self._asked = None
        if asked.here:
            self._hanging = asked.thread
        who = "the learner" if asked.here else asked.player
        return NoAnswer(
            asked.request,
            "TimeOver",
            f"{who} has not finished the games within {self._most_s:.0f} s. Does the environment "
            "hang? Otherwise give them more time (evaluation.timeout_s).",
        )

    def _take_in(self) -> EvaluationResult | NoAnswer | None:
        """Handles all messages. Returns the first answer to the current request."""
        found: EvaluationResult | NoAnswer | None = None
        asked = self._asked
        while True:
            try:
                message = self._come.get_nowait()
            except queue.Empty:
                return found
            if not isinstance(message, _Played):
                self._unheeded = 0
            if asked is None or found is not None or message.request != asked.request:
                continue
            if isinstance(message, EvaluationSign):
                asked.silent_s, asked.player = 0.0, message.player
            elif isinstance(message, EvaluationResult):
                found = message
            else:
                found = message.came

    def _sent(self, asked: _Asked) -> bool:
        """Sends the task to the workers. False if it cannot be sent."""
        try:
            self._pin(asked.weights.version, PIN_S + self._here_after_s)
            self._send(asked.request, asked.weights.version, asked.seed, asked.actions)
        except TinyqueueError as error:
            log.warning("evaluation task not sent; played here", error=str(error))
            return False
        return True

    def _start_here(self, asked: _Asked) -> None:
        asked.here = True
        if self._hanging is not None and self._hanging.is_alive():
            text = "games that started earlier still hang in this process"
            self._come.put(_Played(asked.request, NoAnswer(asked.request, "TimeOver", text)))
            return
        asked.thread = threading.Thread(
            target=self._play, args=(asked,), name="evaluation", daemon=True
        )
        asked.thread.start()

    def _play(self, asked: _Asked) -> None:
        came: EvaluationResult | NoAnswer
        try:
            came = self._play_here(asked.weights, asked.request, asked.seed, asked.actions)
        except Exception as error:
            # Nothing that an environment raises may end the training.
            came = NoAnswer.of(asked.request, error)
        self._come.put(_Played(asked.request, came))
