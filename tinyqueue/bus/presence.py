"""Which players are live: of each login as many as it may claim, and no more."""

from __future__ import annotations

from dataclasses import dataclass, field

from tinyqueue.bus.allowance import Allowance

LIVE_S = 30.0
"""A player is live while its last session is younger than this."""
MOST_PLAYERS = 1024
"""Live players of one login. Two tasks for each are a fifth of what a play queue holds."""
AT_ONCE, PER_S = 64, 8.0
"""New players of one login that may appear at once, and per second from then on. A fleet of 500
is complete after a minute; whoever invents names is held to 304, since they last 30 s."""
MOST_LOGINS = 256


@dataclass
class _Login:
    """One login.

    Attributes:
        new: How many new players may appear.
        ends: How many of its tasks may end.
        players: Name → when it was heard last, the longest silent one first.
    """

    new: Allowance
    ends: Allowance
    players: dict[str, float] = field(default_factory=dict)


class Presence:
    """The live players of an experiment. For one thread at a time.

    Args:
        budget_s: How long a task is played.
    """

    def __init__(self, budget_s: float) -> None:
        self._budget_s = budget_s
        self._logins: dict[str, _Login] = {}

    def __len__(self) -> int:
        return sum(len(login.players) for login in self._logins.values())

    def heard(self, login: str, player: str, now_s: float) -> None:
        """Notes a valid session of a player."""
        state = self._of(login, now_s)
        if player in state.players:
            del state.players[player]
        elif len(state.players) >= MOST_PLAYERS or not state.new.take(now_s, AT_ONCE, PER_S):
            return
        state.players[player] = now_s

    def may_end(self, login: str, now_s: float) -> bool:
        """Whether a login may end one more task now: four times as many as its players play."""
        state = self._of(login, now_s)
        most = 4.0 * (len(state.players) + AT_ONCE)
        return state.ends.take(now_s, most, most / self._budget_s)

    def forget(self, now_s: float) -> None:
        """Forgets players that have been silent for too long."""
        for state in self._logins.values():
            while state.players:
                player, at_s = next(iter(state.players.items()))
                if now_s - at_s < LIVE_S:
                    break
                del state.players[player]

    def _of(self, login: str, now_s: float) -> _Login:
        if login not in self._logins and len(self._logins) >= MOST_LOGINS:
            # Only a broker without permissions lets anybody make that many.
            login = "*"
        if login not in self._logins:
            self._logins[login] = _Login(Allowance(AT_ONCE, now_s), Allowance(AT_ONCE, now_s))
        return self._logins[login]
