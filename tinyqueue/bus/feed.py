"""How many play tasks to keep outstanding: a window that follows the number of live players."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable

LIVE_S = 30.0
"""A player is live while its last session is younger than this."""
UNHEARD = 4
"""How many times longer a task counts while no player is known: a task that nobody takes ends as a
dead letter on RabbitMQ, and should not push out others."""
SLACK_S = 0.5
"""The longest, beyond its budget, for a task to be taken and its last session to arrive."""
_MOST_SILENCE_S = 600.0
_FADING = 0.98
"""Decay per session of the slowest batch seen, such as one played while a machine was busy."""


class TaskFeed:
    """Keeps about two tasks per live player outstanding: one being played, one waiting.

    Outstanding = issued − ended − expired. Safe to call from several threads. It never reads
    the queue's depth, because other experiments share the queue.

    The header of a later session reports that a task has ended. A player whose task ends while
    the learner's queue is full cannot report it, and a broker that has lost its memory has lost
    the tasks. So when nothing has arrived for longer than a task lasts, all tasks are forgotten.
    While the silence lasts, this is repeated at doubling intervals, so that few tasks pile up for
    players that are away.

    Args:
        send: Sends one task, and returns its id.
        budget_s: How long a task is played.
        per_player: Tasks per live player.
        floor: Tasks kept outstanding while few players are known, so that new ones are found.
        is_ahead: Whether players have to wait for the learner. Then no second task per player
            waits in the queue, where players of other experiments could be served.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        send: Callable[[], str],
        *,
        budget_s: float,
        per_player: int = 2,
        floor: int = 2,
        is_ahead: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._send = send
        self._expires_s = max(LIVE_S, 5 * budget_s)
        self._per_player = per_player
        self._floor = floor
        self._is_ahead = is_ahead
        self._clock = clock
        self._lock = threading.Lock()
        self._sent_s: dict[str, float] = {}
        self._heard: dict[str, float] = {}
        self._budget_s = budget_s
        self._silence_s = self._patience_s = budget_s + SLACK_S
        self._last_s = clock()
        self._slowest_s = 0.0

    @property
    def outstanding(self) -> int:
        """Tasks sent that have neither ended nor expired, as of the last :meth:`tick`."""
        with self._lock:
            return len(self._sent_s)

    @property
    def players(self) -> int:
        """Live players, as of the last :meth:`tick`."""
        with self._lock:
            return len(self._heard)

    def heard(self, player: str, ended_tasks: Iterable[str], play_s: float = 0.0) -> None:
        """Notes that a session of this player arrived.

        Args:
            player: Name of the player.
            ended_tasks: Tasks that the session reports as ended.
            play_s: Seconds that the session took to play. Where steps are slow this exceeds a
                task's budget, and a silence of that length means nothing.
        """
        with self._lock:
            self._heard[player] = self._last_s = self._clock()
            slowest_s = max(min(play_s, _MOST_SILENCE_S), self._slowest_s * _FADING)
            self._slowest_s = slowest_s
            self._silence_s = max(self._budget_s, slowest_s) + SLACK_S
            self._patience_s = self._silence_s
            for task in ended_tasks:
                self._sent_s.pop(task, None)

    def failed(self, task: str) -> None:
        """Notes that a task ended without a session. This does not make its player a live one."""
        with self._lock:
            self._sent_s.pop(task, None)
            self._last_s = self._clock()

    def tick(self) -> int:
        """Sends the tasks missing from the window, and returns their number.

        An error of ``send`` is passed on; tasks sent before it still count.
        """
        sent = 0
        for _ in range(self._missing()):
            task = self._send()
            with self._lock:
                self._last_s = self._clock()
                self._sent_s[task] = self._last_s
            sent += 1
        return sent

    def _missing(self) -> int:
        now_s = self._clock()
        with self._lock:
            self._heard = {p: at for p, at in self._heard.items() if now_s - at < LIVE_S}
            lasts_s = self._expires_s * (1 if self._heard else UNHEARD)
            self._sent_s = {t: at for t, at in self._sent_s.items() if now_s - at < lasts_s}
            if now_s - self._last_s > self._patience_s:
                self._sent_s.clear()
                self._last_s = now_s
                self._patience_s *= 2
            per_player = 1 if self._is_ahead() else self._per_player
            wanted = max(self._floor, per_player * len(self._heard))
            return wanted - len(self._sent_s)
