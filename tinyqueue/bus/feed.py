"""How many play tasks to keep outstanding: a window that follows the number of live players."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable

from tinyqueue.bus.presence import LIVE_S, MOST_TOLD, TELL_EVERY_S, Presence

UNHEARD = 4
"""How many times longer a task counts while no player is known: a task that nobody takes ends as a
dead letter on RabbitMQ, and should not push out others."""
SLACK_S = 0.5
"""The longest, beyond its budget, for a task to be taken and its last session to arrive."""
PROVES_S = 120.0
"""For how long a task that has ended shows, at least, that its login has a player. Batches that
take a minute are one task each."""
PATIENCE_S = 30.0
"""The longest silence after which tasks are sent again, unless a task itself lasts longer: players
that were refused for a while then go on within so much."""
MOST_FORGOTTEN = 4096
"""Tasks remembered that count no longer: their ends still show that there are players."""
MOST_AT_ONCE = 64
"""Tasks sent by one :meth:`TaskFeed.tick`, which other chores wait for: each takes a confirm."""
_FADING = 0.98
"""Decay per session of the slowest batch seen, such as one played while a machine was busy."""


class TaskFeed:
    """Keeps about two tasks per live player outstanding: one being played, one waiting.

    Outstanding = issued − ended − expired. Safe to call from several threads. It never reads
    the queue's depth, because other experiments share the queue.

    The header of a later session reports that a task has ended. A player whose task ends while
    the learner's queue is full cannot report it, and a broker that has lost its memory has lost
    the tasks. So when nothing has arrived for longer than a task lasts, all tasks are forgotten.
    While the silence lasts, this is repeated at intervals that double up to :data:`PATIENCE_S`, so
    that few tasks pile up for players that are away.

    Players, and the tasks that they end, count for the login that they use, within bounds: a login
    that invents players fills no queue that others share.

    Args:
        send: Sends one task, and returns its id.
        budget_s: How long a task is played.
        limit_s: The time limit of a task; no session takes longer.
        per_player: Tasks per live player.
        floor: Tasks kept outstanding while few players are known, so that new ones are found.
        is_ahead: Whether players have to wait for the learner. Then no second task per player
            waits in the queue, where players of other experiments could be served.
        lasts_s: How long a task may last beyond its budget, such as to an episode's end; for so
            long it counts.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        send: Callable[[], str],
        *,
        budget_s: float,
        limit_s: float = 600.0,
        per_player: int = 2,
        floor: int = 2,
        is_ahead: Callable[[], bool] = lambda: False,
        lasts_s: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._send = send
        self._expires_s = max(LIVE_S, 5 * budget_s, lasts_s)
        self._per_player = per_player
        self._floor = floor
        self._is_ahead = is_ahead
        self._clock = clock
        self._lock = threading.Lock()
        self._sent_s: dict[str, float] = {}
        self._forgotten: dict[str, None] = {}
        self._presence = Presence(budget_s, max(PROVES_S, 2 * self._expires_s))
        self._budget_s = budget_s
        self._limit_s = limit_s
        self._silence_s = self._patience_s = budget_s + SLACK_S
        self._last_s = clock()
        self._slowest_s = 0.0
        self._silent_since_s = self._tell_at_s = clock()

    @property
    def outstanding(self) -> int:
        """Tasks sent that have neither ended nor expired, as of the last :meth:`tick`."""
        with self._lock:
            return len(self._sent_s)

    @property
    def players(self) -> int:
        """Live players, as of the last :meth:`tick`."""
        with self._lock:
            return len(self._presence)

    def heard(
        self, login: str, player: str, ended_tasks: Iterable[str], play_s: float = 0.0
    ) -> None:
        """Notes that a session arrived.

        Args:
            login: The broker login that sent it; empty where there are none.
            player: Name of its player; empty if the session is not valid, which ends tasks and
                says nothing of a player.
            ended_tasks: Tasks that the session reports as ended.
            play_s: Seconds that the session took to play. Where steps are slow this exceeds a
                task's budget, and a silence of that length means nothing.
        """
        with self._lock:
            now_s = self._clock()
            if player:
                self._presence.heard(login, player, now_s, min(play_s, self._limit_s))
                self._last_s = now_s
                slowest_s = max(min(play_s, self._limit_s), self._slowest_s * _FADING)
                self._slowest_s = slowest_s
                self._silence_s = max(self._budget_s, slowest_s) + SLACK_S
                self._patience_s = self._silence_s
            for task in ended_tasks:
                self._end(login, task, now_s)

    def silence_told(self, *, is_evaluating: bool = False) -> str:
        """Which players have fallen silent while others play, in words, each once; or nothing.

        Args:
            is_evaluating: Whether one of them may be playing an evaluation meanwhile.
        """
        with self._lock:
            now_s = self._clock()
            if is_evaluating:
                self._silent_since_s = now_s
            if is_evaluating or now_s < self._tell_at_s:
                return ""
            silent = self._presence.fallen_silent(now_s, self._silent_since_s)
            if not silent:
                return ""
            self._tell_at_s = now_s + TELL_EVERY_S
        named = "; ".join(map(str, silent[:MOST_TOLD]))
        more = f"; and {len(silent) - MOST_TOLD} more" if len(silent) > MOST_TOLD else ""
        return (
            f"silent while others play: {named}{more}. A step of the environment may hang there, "
            "or take long; or the worker has ended, or plays for other experiments. See its log"
        )

    def failed(self, login: str, task: str) -> None:
        """Notes that a task ended without a session. This does not make its player a live one."""
        with self._lock:
            now_s = self._clock()
            if self._end(login, task, now_s):
                self._last_s = now_s

    def player_ended(self, login: str, player: str) -> None:
        """Notes that a player's process has ended, so that it is not a live one any more."""
        with self._lock:
            self._presence.ended(login, player)

    def _end(self, login: str, task: str, now_s: float) -> bool:
        counts = task in self._sent_s
        if not (counts or task in self._forgotten) or not self._presence.ends(login, now_s):
            return False
        self._sent_s.pop(task, None)
        self._forgotten.pop(task, None)
        return counts

    def _forget(self, tasks: Iterable[str]) -> None:
        for task in tasks:
            del self._sent_s[task]
            self._forgotten[task] = None
        while len(self._forgotten) > MOST_FORGOTTEN:
            del self._forgotten[next(iter(self._forgotten))]

    def tick(self) -> int:
        """Sends tasks missing from the window, at most 64, and returns their number.

        An error of ``send`` is passed on; tasks sent before it still count.
        """
        sent = 0
        for _ in range(min(MOST_AT_ONCE, self._missing())):
            task = self._send()
            with self._lock:
                self._last_s = self._clock()
                self._sent_s[task] = self._last_s
            sent += 1
        return sent

    def _missing(self) -> int:
        now_s = self._clock()
        with self._lock:
            self._presence.forget(now_s)
            lasts_s = self._expires_s * (1 if len(self._presence) else UNHEARD)
            self._forget([t for t, at in self._sent_s.items() if now_s - at >= lasts_s])
            if now_s - self._last_s > self._patience_s:
                self._forget([*self._sent_s])
                self._last_s = now_s
                self._patience_s = max(self._silence_s, min(2 * self._patience_s, PATIENCE_S))
            per_player = 1 if self._is_ahead() else self._per_player
            wanted = max(self._floor, per_player * len(self._presence))
            return wanted - len(self._sent_s)
