"""Which players are live: of each login as many as it may claim, and no more."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import zip_longest

from tinyqueue.bus.allowance import Allowance

LIVE_S = 30.0
"""A player is live while its last session is younger than this."""
MOST_PLAYERS = 1024
"""Live players of one login. Two tasks for each are a fifth of what a play queue holds."""
UNPROVEN = 8
"""Players of one login that count before it has ended any task. Names cost nothing to invent, but
whoever plays ends tasks: for each of them that it has ended lately, one more counts."""
AT_ONCE, PER_S = 64, 16.0
"""New players of one login that may appear at once, and per second from then on. A fleet of 500
is complete within a minute; of whoever invents names, at most 544 are remembered for 30 s."""
MOST_LOGINS = 256
QUIET_S, QUIET_BATCHES, QUIET_GAPS, QUIET_ROUNDS = 8.0, 5, 2, 10
"""A player has fallen silent if it has sent nothing for so many seconds, so many times the longest
that a batch of its has taken, and so many times its longest silence before, since it may also serve
other experiments; while each of the others has sent so many batches on average."""
TELL_EVERY_S = 10.0
"""Seconds between two lines about players that have fallen silent: a login can invent them."""
MOST_TOLD = 3
"""Players that are named at once, of those that have fallen silent."""


@dataclass
class _Player:
    """One live player.

    Attributes:
        at_s: When it was heard last.
        sessions: How many sessions of all players had come by then.
        slowest_s: The longest that a batch of its has taken.
        gap_s: Its longest silence before.
        is_told: Whether its silence has been told.
    """

    at_s: float
    sessions: int
    slowest_s: float
    gap_s: float = 0.0
    is_told: bool = False


@dataclass(frozen=True)
class Silent:
    """A player that sends nothing while others do.

    Attributes:
        login, player: Who.
        for_s: Since when.
        batch_s: The longest that a batch of its has taken.
    """

    login: str
    player: str
    for_s: float
    batch_s: float

    def __str__(self) -> str:
        whose = f"player {self.player}" + (f" of login {self.login}" if self.login else "")
        return f"{whose}, {self.for_s:.0f} s after a batch of {self.batch_s:.2g} s at most"


@dataclass
class _Login:
    """One login.

    Attributes:
        new: How many new players may appear.
        ends: How many of its tasks may end.
        players: Name → player, the longest silent one first.
        ended_s: When its tasks have ended, lately.
    """

    new: Allowance
    ends: Allowance
    players: dict[str, _Player] = field(default_factory=dict)
    ended_s: deque[float] = field(default_factory=lambda: deque(maxlen=MOST_PLAYERS))

    def __len__(self) -> int:
        return min(len(self.players), UNPROVEN + len(self.ended_s))


def _heard_s(login: _Login) -> float:
    """When the latest player of a login was heard, on the clock; −∞ without any."""
    return next((player.at_s for player in reversed(login.players.values())), -math.inf)


class Presence:
    """The live players of an experiment. For one thread at a time.

    Args:
        budget_s: How long a task is played.
        proves_s: For how long a task that has ended proves that there is a player.
    """

    def __init__(self, budget_s: float, proves_s: float = 4 * LIVE_S) -> None:
        self._budget_s = budget_s
        self._proves_s = proves_s
        self._logins: dict[str, _Login] = {}
        self._sessions = 0

    def __len__(self) -> int:
        return sum(map(len, self._logins.values()))

    def heard(self, login: str, player: str, now_s: float, play_s: float = 0.0) -> None:
        """Notes a valid session of a player, and the seconds that it took to play."""
        state = self._of(login, now_s)
        self._sessions += 1
        known = state.players.pop(player, None)
        if known is None and (
            len(state.players) >= MOST_PLAYERS or not state.new.take(now_s, AT_ONCE, PER_S)
        ):
            return
        heard = _Player(now_s, self._sessions, play_s)
        if known is not None:
            heard.slowest_s = max(play_s, known.slowest_s)
            heard.gap_s = max(now_s - known.at_s, known.gap_s)
        state.players[player] = heard

    def ended(self, login: str, player: str) -> None:
        """Notes that a player's process has ended: another one has its place."""
        if login in self._logins:
            self._logins[login].players.pop(player, None)

    def fallen_silent(self, now_s: float, since_s: float = 0.0) -> list[Silent]:
        """The players that have fallen silent while others play, each once until it is heard again.

        Args:
            now_s: The clock.
            since_s: No silence counts from before.

        Returns:
            The first of every login before the second of any; none while nobody plays.
        """
        if now_s - max(map(_heard_s, self._logins.values()), default=-math.inf) >= QUIET_S:
            return []
        found = [
            [
                Silent(login, name, now_s - player.at_s, player.slowest_s)
                for name, player in self._newly_silent(state, now_s, since_s)
            ]
            for login, state in self._logins.items()
        ]
        return [silent for row in zip_longest(*found) for silent in row if silent is not None]

    def _newly_silent(
        self, state: _Login, now_s: float, since_s: float
    ) -> Iterator[tuple[str, _Player]]:
        others = max(1, len(self) - 1)
        for name, player in state.players.items():
            for_s = now_s - max(player.at_s, since_s)
            if for_s < QUIET_S:
                # Those behind it were heard later.
                return
            usual_s = max(QUIET_BATCHES * player.slowest_s, QUIET_GAPS * player.gap_s)
            do_others_play = self._sessions - player.sessions >= QUIET_ROUNDS * others
            if not player.is_told and for_s >= usual_s and do_others_play:
                player.is_told = True
                yield name, player

    def ends(self, login: str, now_s: float) -> bool:
        """Notes that a login ends a task, if it may: four times as many as its players play."""
        state = self._of(login, now_s)
        most = 4.0 * (len(state.players) + AT_ONCE)
        may = state.ends.take(now_s, most, most / self._budget_s)
        if may:
            state.ended_s.append(now_s)
        return may

    def forget(self, now_s: float) -> None:
        """Forgets players that have been silent for too long, and tasks that ended long ago."""
        for state in self._logins.values():
            while state.ended_s and now_s - state.ended_s[0] >= self._proves_s:
                state.ended_s.popleft()
            while state.players:
                name, player = next(iter(state.players.items()))
                if now_s - player.at_s < LIVE_S:
                    break
                del state.players[name]

    def _of(self, login: str, now_s: float) -> _Login:
        if login not in self._logins and len(self._logins) >= MOST_LOGINS:
            # Only a broker without permissions lets anybody make that many.
            login = "*"
        if login not in self._logins:
            self._logins[login] = _Login(Allowance(AT_ONCE, now_s), Allowance(AT_ONCE, now_s))
        return self._logins[login]
