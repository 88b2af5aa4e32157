"""Evaluation by whichever worker takes the task; by the learner itself when none does."""

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
"""How long an evaluated version is kept for the worker that plays it, beyond ``here_after_s``. A
worker fetches it before it gives its first sign, however long its games are then; one that takes
the task later finds no weights and gives no sign."""
LOOK_S = 1.0
"""At most so much of the time between two polls counts as silence. During an update, messages
wait behind session batches, and an update may take long."""

GRACE_S = 30.0
"""After ``evaluation.timeout_s``, at which games end themselves, an answer is no longer awaited."""

log = structlog.get_logger(__name__)


@dataclass
class _Asked:
    """The request that has no answer yet.

    Attributes:
        actions: How actions are chosen.
        asked_s: When it was made, on the clock.
        silent_s: Seconds since a worker told of it, or since it was sent, as far as they count
            (``LOOK_S``).
        player: Who told of it last.
        here: Whether it is played in this process.
        thread: … and by which thread.
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
    """What came of games in this process."""

    request: str
    came: EvaluationResult | NoAnswer


class RemoteGames:
    """Sends ``evaluate-policy`` tasks and takes the first answer.

    A worker that plays tells so every few seconds. When no worker has told of a request for
    ``here_after_s``, the learner plays its games itself, and does so at once from then on until
    it hears of a worker again. For that it goes on asking beside its own games, every time at
    first and then ever more rarely, as the task feed does in a silence: workers that are started
    later are found, and few tasks pile up where there are none.

    Args:
        config: How long games may take, and how long no worker may be heard of.
        pin: Keeps a version in the store for some seconds.
        send: Sends the task; its arguments are those of ``evaluate-policy``.
        play_here: Plays the games in this process, for when no worker evaluates.
        clock: Monotonic seconds.
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
        """Requests in a row that were played here, since a worker was last heard of."""
        self._looked_s = 0.0
        self._hanging: threading.Thread | None = None

    def request(self, weights: WeightVersion, request: str, seed: int, actions: str) -> None:
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
        """A worker's word has come by message. Called in the consumer's thread."""
        self._come.put(message)

    def poll(self) -> EvaluationResult | NoAnswer | None:
        """What came of the last request, once."""
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
                "no word of an evaluating worker; the learner plays the games",
                request=asked.request,
                last_heard=asked.player or "nobody",
            )
            self._unheeded = 1
            self._start_here(asked)
        return None

    def _given_up(self, asked: _Asked) -> NoAnswer:
        """Neither a worker's words nor a game that hangs may keep a run from its end."""
        self._asked = None
        if asked.here:
            self._hanging = asked.thread
        who = "the learner" if asked.here else asked.player
        return NoAnswer(
            asked.request,
            "TimeOver",
            f"{who} has not ended the games within {self._most_s:.0f} s. Does the environment "
            "hang? Otherwise give them more time (evaluation.timeout_s).",
        )

    def _take_in(self) -> EvaluationResult | NoAnswer | None:
        """Hears whatever has come. Returns the first answer to the present request."""
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
        """Asks the workers. False when the task cannot be sent."""
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
            text = "games that were begun earlier still hang in this process"
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
            # Whatever an environment raises: it must not end the training that asks.
            came = NoAnswer.of(asked.request, error)
        self._come.put(_Played(asked.request, came))
