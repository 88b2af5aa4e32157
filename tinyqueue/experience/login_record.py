"""What one login's messages have come to: kinds of setbacks, and the share that is set aside."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from tinyqueue.wire.failures import LOST

MOST_KINDS = 32
"""Maximum number of kinds in each group (failures, faults, …): senders choose the text."""
MOST_PLAYERS = 64
"""Players remembered with one kind; what is said of more is that there are that many."""
MOST_UNSETTLED = 256
"""Tasks remembered that came again without a reason, or have a reason and have not yet."""
REMIND_FIRST_S = 10.0
"""Time until the first reminder of a failure that continues; it doubles each time."""

_PREVENTS = ("failed: ", "set aside: ")
# Prefixes of the kinds that prevent batches from being accepted.
_CAME_AGAIN = f"failed: {LOST}"


@dataclass
class Kind:
    """Setbacks of one kind.

    Attributes:
        text: Message of the first one.
        count: How many there were.
        told: How many were reported.
        next_s: When to report again, on the monotonic clock.
        pause_s: Time between two reports.
        players: The players that had them.
    """

    text: str
    count: int = 0
    told: int = 0
    next_s: float = 0.0
    pause_s: float = REMIND_FIRST_S
    players: set[str] = field(default_factory=set)


@dataclass
class LoginRecord:
    """One login's setbacks and accepted batches.

    Attributes:
        kinds: Name → setbacks of that kind.
        accepted, aside: Numbers of its batches.
        lost: How many of its tasks came again, for a reason that nobody has told.
        unsettled: Task → how many processes have ended in it, less how often it came again.
        first_s, latest_s: When its first and latest setback was; None and 0 before.
        last_accepted_s: When its last batch was accepted.
        has_played: Whether anything that failed shows that it has players: a task that was sent,
            or a batch with a readable header.
        warned: Whether its share of batches set aside was warned of.
        window: Seconds, accepted and set aside, at most one entry per second.
    """

    kinds: dict[str, Kind] = field(default_factory=dict)
    accepted: int = 0
    aside: int = 0
    lost: int = 0
    unsettled: dict[str, int] = field(default_factory=dict)
    first_s: float | None = None
    latest_s: float = 0.0
    last_accepted_s: float = 0.0
    has_played: bool = False
    warned: bool = False
    window: deque[tuple[float, int, int]] = field(default_factory=deque)

    @property
    def heard_s(self) -> float:
        """When its latest setback was, or its last batch was accepted."""
        return max(self.latest_s, self.last_accepted_s)

    @property
    def setbacks(self) -> list[Kind]:
        """The kinds that prevent batches from being accepted, those that say why if any does."""
        named = {n: kind for n, kind in self.kinds.items() if n.startswith(_PREVENTS)}
        return [kind for name, kind in named.items() if name != _CAME_AGAIN] or [*named.values()]

    @property
    def only_lost(self) -> bool:
        """Whether nothing is wrong but that tasks come again, without a reason."""
        return {n for n in self.kinds if n.startswith(_PREVENTS)} == {_CAME_AGAIN}

    def ended(self, task: str) -> None:
        """Notes that a process has ended in a task: why it comes again, or already has."""
        if self._settle(task, 1) < 0:
            self.lost -= 1

    def came_again(self, task: str) -> bool:
        """Notes that a task came again; returns whether nobody has told why."""
        is_lost = self._settle(task, -1) <= 0
        self.lost += is_lost
        return is_lost

    def _settle(self, task: str, by: int) -> int:
        before = self.unsettled.pop(task, 0)
        if before + by:
            self.unsettled[task] = before + by
        if len(self.unsettled) > MOST_UNSETTLED:
            del self.unsettled[next(iter(self.unsettled))]
        return before

    def note(self, name: str, text: str, player: str, count: int, now_s: float) -> bool:
        """Counts setbacks of a kind; returns whether they are the first ones of it."""
        if name not in self.kinds:
            group = f"{name.partition(':')[0]}: "
            if sum(known.startswith(group) for known in self.kinds) >= MOST_KINDS:
                name = f"{group}other"
        is_first = name not in self.kinds
        kind = self.kinds.setdefault(name, Kind(text))
        kind.count += count
        if len(kind.players) < MOST_PLAYERS:
            kind.players.add(player)
        if is_first:
            kind.told, kind.next_s = kind.count, now_s + kind.pause_s
        return is_first

    def count(self, accepted: int, aside: int, now_s: float, window_s: float) -> None:
        """Counts batches, and forgets those of the window that are older than ``window_s``.

        Batches taken back (below zero) that an earlier process accepted were not counted here.
        """
        accepted = max(accepted, -self.accepted)
        self.accepted += accepted
        self.aside += aside
        if accepted > 0:
            self.last_accepted_s = now_s
        if self.window and now_s - self.window[-1][0] < 1.0:
            at_s, before, before_aside = self.window.pop()
            self.window.append((at_s, before + accepted, before_aside + aside))
        else:
            self.window.append((now_s, accepted, aside))
        while self.window and now_s - self.window[0][0] > window_s:
            self.window.popleft()

    def windowed(self, since_s: float) -> tuple[int, int]:
        """Batches accepted and set aside since then, within the window."""
        entries = [entry for entry in self.window if entry[0] >= since_s]
        # What is taken back may have been accepted before the window.
        return max(0, sum(entry[1] for entry in entries)), sum(entry[2] for entry in entries)

    def is_failing(self, now_s: float, within_s: float) -> bool:
        """Whether it has had setbacks since its last accepted batch, and still has.

        One failure and then silence: the players have left, and nothing fails any more.
        """
        if self.first_s is None:
            return False
        since_s = max(self.first_s, self.last_accepted_s) if self.accepted else self.first_s
        return now_s - self.latest_s <= within_s and self.latest_s > since_s - 1.0
