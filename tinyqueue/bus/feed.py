"""How many play tasks are outstanding: a window that follows the number of live players."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable

LIVE_S = 30.0
"""A player is live while its last session is younger than this."""
UNHEARD = 4
"""How much longer a task counts while no player is known: what nobody takes ends as a dead letter
on RabbitMQ, and should not push others out."""
SLACK_S = 0.5
"""Beyond its budget a task takes this long at most to be taken, and its last session to come."""
_MOST_SILENCE_S = 600.0
_FADING = 0.98
"""Per session: how fast a slow batch is forgotten, such as one played while a machine was busy."""


class TaskFeed:
    """Keeps about two tasks per live player outstanding: one played, one waiting for it.

    Outstanding = issued − ended − expired. Safe to call from several threads. It never reads
    the queue's depth, which other experiments share.

    The end of a task is told by the header of a later session. A player whose task ends while
    the learner's queue is full has no way to tell, and a broker that has lost its memory has lost
    the tasks; so when nothing has come for longer than a task lasts, all tasks are forgotten. In
    one silence that is done again after twice the time, so that few tasks pile up for players
    that are away.

    Args:
        send: Sends one task, and returns its id.
        budget_s: How long a task is played.
        per_player: Tasks per live player.
        floor: Tasks kept outstanding when fewer players are known, so that one is found.
        is_ahead: Whether players have to wait for the learner. None waits in the queue for them
            then, where players of other experiments could be served.
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
        with self._lock:
            return len(self._sent_s)

    @property
    def players(self) -> int:
        """Live players, as of the last :meth:`tick`."""
        with self._lock:
            return len(self._heard)

    def heard(self, player: str, ended_tasks: Iterable[str], play_s: float = 0.0) -> None:
        """A session of this player came, and told which tasks are over.

        Args:
            play_s: Seconds that it took to play: where steps are slow, longer than a task's
                budget, and silence of that length means nothing.
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
        """A task has ended without a session. Who failed is no live player for that."""
        with self._lock:
            self._sent_s.pop(task, None)
            self._last_s = self._clock()

    def tick(self) -> int:
        """Sends what is missing from the window, and returns how many tasks that were.

        An error of ``send`` is passed on; what was sent before it counts.
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
