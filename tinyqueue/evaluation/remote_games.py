"""Evaluations by whichever worker takes the task, or by the learner itself if none does."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from tinyqueue.bus.messages import Delivery
from tinyqueue.errors import TinyqueueError
from tinyqueue.evaluation.answers import Answer, NoAnswer
from tinyqueue.evaluation.inbox import ADVICE, Inbox
from tinyqueue.evaluation.wanted import Wanted
from tinyqueue.experiment.sections import EvaluationConfig
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
"""How long to wait for an answer after ``evaluation.here_after_s``, in which a worker begins, and
``evaluation.timeout_s``, after which its games end by themselves."""

log = structlog.get_logger(__name__)


IsWanted = Callable[[], bool]
"""Whether the result of games that are being played is still wanted."""


@dataclass
class _Asked:
    """The request that has no answer yet.

    Attributes:
        request: Its id.
        weights: The weights to evaluate.
        seed: Seed of the games.
        actions: How actions are chosen.
        since_s: When it was made, or its games were begun on this machine, on the clock.
        silent_s: Seconds since the last sign of a worker, or since it was sent, as far as they
            count (:data:`LOOK_S`).
        login: Login of the worker that gave the last sign; None without one.
        player: Its name.
        here: Whether it is played on this machine.
        there: Whether a worker may still answer all the same.
        thread: The thread that plays it, if it is played on this machine.
    """

    request: str
    weights: WeightVersion
    seed: int
    actions: str
    since_s: float
    silent_s: float = 0.0
    login: str | None = None
    player: str = ""
    here: bool = False
    there: bool = False
    thread: threading.Thread | None = None


class RemoteGames:
    """Sends ``evaluate-policy`` tasks and takes the first answer.

    A worker that plays gives a sign every few seconds. If no worker has given a sign of a request
    for ``here_after_s``, the learner plays its games itself, and later ones immediately, until it
    hears from a worker again. Meanwhile it keeps sending tasks, every time at first and then less
    and less often, as the task feed does: so workers that start later are found, and few tasks
    pile up if there are none.

    A worker that says why it cannot play is not waited for: the learner plays those games at once.

    Signs hold up an evaluation for a bounded time. If there is no answer by then, the learner plays
    the games, and does not wait for that login again before it has answered.

    Args:
        config: How many games, how long they may take, and how long to wait for a sign.
        inbox: Receives what workers send.
        pin: Keeps a version in the store for some seconds.
        send: Sends the task; its arguments are those of ``evaluate-policy``.
        play_here: Plays the games on this machine, as long as they are wanted.
        is_single: Whether a second environment cannot exist beside a worker's.
        max_steps: Env steps at which a game is ended; None if only workers know.
        max_abs_reward: Largest magnitude of a reward in training; infinity without a bound.
        clock: Returns monotonic seconds.
    """

    def __init__(
        self,
        config: EvaluationConfig,
        inbox: Inbox,
        *,
        pin: Callable[[int, float], None],
        send: Callable[[str, int, int, str], None],
        play_here: Callable[[WeightVersion, str, int, str, IsWanted], EvaluationResult],
        is_single: bool = False,
        max_steps: int | None = None,
        max_abs_reward: float = math.inf,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._here_after_s = config.here_after_s
        self._most_s = config.here_after_s + config.timeout_s + GRACE_S
        self._inbox = inbox
        self._is_single = is_single
        self._max_steps, self._max_abs_reward = max_steps, max_abs_reward
        self._pin = pin
        self._send = send
        self._play_here = play_here
        self._clock = clock
        self._asked: _Asked | None = None
        self._unheeded = 0
        """Requests in a row that were played here, since the last sign of a worker."""
        self._looked_s = 0.0
        self._hanging: threading.Thread | None = None
        self._may_advise = bool(inbox.own_login)
        """On the role of workers' logins: while none has been heard of, and once."""

    def request(
        self, weights: WeightVersion, request: str, seed: int, actions: str, *, here: bool = False
    ) -> None:
        """Sends the task and returns; without workers, or if ``here``, plays in a thread."""
        self._look_for_workers()
        self._looked_s = self._clock()
        self._asked = asked = _Asked(request, weights, seed, actions, self._looked_s)
        # 0, 1, 2, 4, 8 and so on.
        is_due = self._unheeded & (self._unheeded - 1) == 0
        asks = is_due and self._here_after_s > 0 and not here
        self._inbox.expect(self._wanted(asked, asks))
        sent = asks and self._sent(asked)
        if self._unheeded or not sent:
            self._start_here(asked)
        self._unheeded += self._unheeded > 0 and not here

    def arrived(self, delivery: Delivery) -> None:
        """Receives a worker's message. Called in the consumer's thread.

        Raises:
            MessageError: Its body is neither a result nor a sign.
        """
        self._inbox.arrived(delivery)

    def failed(self, request: str) -> None:
        """Notes that a worker cannot play a request, whose games the learner then plays at once.

        Called in the consumer's thread.

        Args:
            request: Id of the evaluation.
        """
        self._inbox.failed(request)

    def poll(self) -> Answer | NoAnswer | None:
        """The answer to the last request, once; None while there is none."""
        self._look_for_workers()
        found, asked = self._inbox.take(), self._asked
        if found is not None or asked is None:
            self._asked = None
            return found
        now_s = self._clock()
        self._look_for_sign(asked, now_s)
        if self._inbox.take_failed() and not asked.here:
            self._may_advise = False
            self._start_instead(asked)
        elif now_s - asked.since_s > self._most_s:
            if asked.here:
                return self._given_up(asked)
            self._has_waited_in_vain(asked)
        elif not asked.here and asked.silent_s > self._here_after_s:
            self._has_heard_nobody(asked)
        return None

    def play_instead(self) -> bool:
        """Begins to play the open request here, while a worker may still answer.

        False if it is answered or played here already, or cannot be played beside a worker.
        """
        asked = self._asked
        if asked is None or asked.here or self._is_single:
            return False
        asked.there = True
        self._start_instead(asked)
        return True

    def _wanted(self, asked: _Asked, asks_workers: bool) -> Wanted:
        return Wanted(
            asked.request,
            self._inbox.experiment,
            self._inbox.run,
            asked.weights.version,
            asked.actions,
            self._config.episodes,
            self._config.timeout_s,
            self._max_steps,
            asks_workers,
            self._max_abs_reward,
        )

    def _look_for_workers(self) -> None:
        if self._inbox.take_heard():
            self._unheeded = 0
            self._may_advise = False

    def _look_for_sign(self, asked: _Asked, now_s: float) -> None:
        sign = self._inbox.take_sign()
        if sign is not None:
            asked.silent_s, asked.login, asked.player = 0.0, sign.login, sign.player
        asked.silent_s += min(now_s - self._looked_s, LOOK_S)
        self._looked_s = now_s

    def _has_heard_nobody(self, asked: _Asked) -> None:
        log.info(
            "no sign of an evaluating worker; the learner plays the games",
            request=asked.request,
            last_heard=asked.player or "nobody",
        )
        if self._may_advise:
            self._may_advise = False
            log.warning(f"no evaluating worker answers: {ADVICE}")
        self._start_instead(asked)

    def _has_waited_in_vain(self, asked: _Asked) -> None:
        log.warning(
            f"an evaluating worker has not answered within {self._most_s:.0f} s; the learner plays "
            "the games. Does the environment hang there? Otherwise give the games more time "
            "(evaluation.timeout_s)",
            login=asked.login,
            player=asked.player,
        )
        if asked.login is not None:
            self._inbox.distrust(asked.login)
        self._start_instead(asked)

    def _start_instead(self, asked: _Asked) -> None:
        """Plays games here that no worker does, and later ones until a worker is heard again."""
        self._unheeded = 1
        self._start_here(asked)

    def _given_up(self, asked: _Asked) -> NoAnswer:
        """A game that hangs may not keep a run from ending."""
        self._asked = None
        self._inbox.expect(None)
        self._hanging = asked.thread
        return NoAnswer(
            asked.request,
            "TimeOver",
            f"the learner has not finished the games within {self._most_s:.0f} s. Does the "
            "environment hang? Otherwise give them more time (evaluation.timeout_s).",
        )

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
        asked.here, asked.since_s = True, self._clock()
        if self._hanging is not None and self._hanging.is_alive():
            text = "games that started earlier on this machine still hang"
            self._played(asked, NoAnswer(asked.request, "TimeOver", text))
            return
        asked.thread = threading.Thread(
            target=self._play, args=(asked,), name="evaluation", daemon=True
        )
        asked.thread.start()

    def _play(self, asked: _Asked) -> None:
        came: EvaluationResult | NoAnswer
        try:
            came = self._play_here(
                asked.weights,
                asked.request,
                asked.seed,
                asked.actions,
                lambda: self._asked is asked,
            )
        except Exception as error:
            # Nothing that an environment raises may end the training.
            came = NoAnswer.of(asked.request, error)
        self._played(asked, came)

    def _played(self, asked: _Asked, came: EvaluationResult | NoAnswer) -> None:
        if asked.there and isinstance(came, NoAnswer):
            log.warning("the learner cannot play the games either", reason=came.text)
            return
        self._inbox.played(asked.request, came)
