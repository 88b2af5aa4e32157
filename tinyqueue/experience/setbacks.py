"""What keeps a run from making progress: failed tasks, batches set aside.

They are reported and counted, and can be a reason to give up.
"""

from __future__ import annotations

import re
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tinyqueue.wire.failures import LOST, TaskFailure

REMIND_FIRST_S, REMIND_LAST_S = 10.0, 600.0
"""Time between two reminders of a failure that continues: first and last; it doubles each time."""
WARN_SHARE, END_SHARE = 0.05, 0.5
"""Shares of session batches set aside above which the user is warned, and the run ends."""
GOING_PATIENCE = 5
"""Factor on the patience with a run that had made progress for a while."""
LEAST_BATCHES = 20
"""Shares of fewer batches mean nothing."""
MOST_KINDS = 32
"""Maximum number of kinds in each group (failures, faults, …): senders choose the text."""
_NUMBER = re.compile(r"\d+")


@dataclass
class _Kind:
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


class Setbacks:
    """Counts setbacks by kind. Thread-safe.

    Args:
        say: Shows the user a line at once.
        give_up_after_s: Time without an accepted batch, while everything fails, after which to give
            up; also the window for the share of batches set aside.
        clock: Returns monotonic seconds.
    """

    def __init__(
        self,
        say: Callable[[str], None],
        give_up_after_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._say = say
        self._give_up_after_s = give_up_after_s
        self._clock = clock
        self._lock = threading.RLock()
        self._kinds: dict[str, _Kind] = {}
        self._first_s: float | None = None
        self._latest_s = 0.0
        self._accepted = self._aside = 0
        self._first_accepted_s = self._last_accepted_s = 0.0
        self._lost = 0
        self._warned = False
        self._window: deque[tuple[float, int, int]] = deque()
        self._clipped = 0

    def failed(self, failure: TaskFailure) -> None:
        """Counts a task that a player could not play."""
        if failure.kind == LOST:
            self._lost += 1
            if self._accepted and self._lost < 3:
                # A restarted broker delivers tasks again; nothing is wrong then.
                return
        # Once batches have come, the player or others go on with the next task.
        did = "gave up a task" if self._accepted else "cannot play"
        told = f"player {failure.player} {did}: {failure.text}"
        if failure.kind == LOST:
            told = f"player {failure.player}: {failure.text}"
        self._note(f"failed: {failure.kind}", told, failure.player)

    def fault(self, player: str, text: str, count: int) -> None:
        """Counts environments that failed and were built again while the others continued.

        Args:
            player: Name of the player; empty without one.
            text: The last failure.
            count: Number of failures.
        """
        by = f" (player {player})" if player else ""
        told = f"an environment failed and was built again; the others play on: {text}{by}"
        self._note(f"fault: {_kind_of_fault(text)}", told, player, count, is_setback=False)

    def aside(self, reason: str, detail: str, player: str = "") -> None:
        """Counts a session batch that was set aside.

        Args:
            reason: A short code.
            detail: The message for the user.
            player: Name of the player; empty if unknown.
        """
        with self._lock:
            self._aside += 1
            self._add_to_window(0, 1)
        by = f" (player {player})" if player else ""
        self._note(f"set aside: {reason}", f"a session batch is set aside: {detail}{by}", player)
        self._warn_of_share()

    def clipped(self, count: int, detail: str, player: str = "") -> None:
        """Counts clipped rewards of a batch.

        Args:
            count: How many were clipped.
            detail: The message for the user.
            player: Name of the player; empty if unknown.
        """
        by = f" (player {player})" if player else ""
        self._note("clipped", f"{detail}{by}", player, count, is_setback=False)

    def accepted(self) -> None:
        """Counts a valid session batch."""
        with self._lock:
            self._last_accepted_s = self._clock()
            if not self._accepted:
                self._first_accepted_s = self._last_accepted_s
            self._accepted += 1
            self._add_to_window(1, 0)

    def look(self) -> None:
        """Reports setbacks that continue, if a reminder is due. Call it now and then."""
        now_s = self._clock()
        lines = []
        with self._lock:
            for kind in self._kinds.values():
                if kind.count > kind.told and now_s >= kind.next_s:
                    kind.told = kind.count
                    kind.pause_s = min(2 * kind.pause_s, REMIND_LAST_S)
                    kind.next_s = now_s + kind.pause_s
                    by = f", {len(kind.players)} players" if len(kind.players) > 1 else ""
                    lines.append(f"{kind.text} [{kind.count:,} times{by}]")
        for line in lines:
            self._say(line)

    def hopeless(self) -> str:
        """Why the run cannot make progress; empty while it can."""
        with self._lock:
            now_s = self._clock()
            first_s = self._first_s
            if first_s is None:
                return ""
            since_s = max(first_s, self._last_accepted_s) if self._accepted else first_s
            # One failure and then silence: the players have left, and nothing fails any more.
            goes_on = now_s - self._latest_s <= self._give_up_after_s + 1.0
            if now_s - since_s >= self._patience_s and goes_on and self._latest_s > since_s - 1.0:
                worst = max(self._setbacks(), key=lambda kind: kind.count)
                return (
                    f"no session batch was accepted within {now_s - since_s:.0f} s: {worst.text} "
                    f"[{worst.count:,} times]"
                )
            return self._mostly_aside(now_s)

    def document(self) -> dict[str, Any]:
        """For ``tinyqueue info``: message → how often it happened."""
        with self._lock:
            return {kind.text: kind.count for kind in self._kinds.values()}

    def counts(self) -> Mapping[str, int]:
        """Kind → how often it happened."""
        with self._lock:
            return Counter({name: kind.count for name, kind in self._kinds.items()})

    @property
    def _patience_s(self) -> float:
        """Longer for a run that has made progress: what fails may recover."""
        went_s = self._last_accepted_s - self._first_accepted_s
        return self._give_up_after_s * (GOING_PATIENCE if went_s > self._give_up_after_s else 1)

    def _setbacks(self) -> list[_Kind]:
        """The kinds that prevent batches from being accepted."""
        return [
            kind
            for name, kind in self._kinds.items()
            if name.startswith(("failed: ", "set aside: "))
        ]

    def _note(
        self, name: str, text: str, player: str, count: int = 1, *, is_setback: bool = True
    ) -> None:
        with self._lock:
            if is_setback:
                self._latest_s = self._clock()
                if self._first_s is None:
                    self._first_s = self._latest_s
            if name not in self._kinds:
                group = f"{name.partition(':')[0]}: "
                if sum(known.startswith(group) for known in self._kinds) >= MOST_KINDS:
                    name = f"{group}other"
            first = name not in self._kinds
            kind = self._kinds.setdefault(name, _Kind(text))
            kind.count += count
            if len(kind.players) < 1024:
                kind.players.add(player)
            if first:
                kind.told, kind.next_s = kind.count, self._clock() + kind.pause_s
        if first:
            self._say(text)

    def _add_to_window(self, accepted: int, aside: int) -> None:
        """Adds to the window, with at most one entry per second to keep it short."""
        now_s = self._clock()
        if self._window and now_s - self._window[-1][0] < 1.0:
            at_s, before, before_aside = self._window.pop()
            self._window.append((at_s, before + accepted, before_aside + aside))
        else:
            self._window.append((now_s, accepted, aside))
        while now_s - self._window[0][0] > self._give_up_after_s:
            self._window.popleft()

    def _mostly_aside(self, now_s: float) -> str:
        first = self._first_s
        if first is None or now_s - first < self._give_up_after_s or not self._window:
            return ""
        accepted = sum(entry[1] for entry in self._window)
        aside = sum(entry[2] for entry in self._window)
        if accepted + aside < LEAST_BATCHES or aside <= END_SHARE * (accepted + aside):
            return ""
        kinds = {n: kind for n, kind in self._kinds.items() if n.startswith("set aside: ")}
        worst = max(kinds.values(), key=lambda kind: kind.count)
        return (
            f"of the last {accepted + aside:,} session batches {aside:,} were set aside: "
            f"{worst.text}"
        )

    def _warn_of_share(self) -> None:
        with self._lock:
            total = self._accepted + self._aside
            share = self._aside / total
            if self._warned or not self._accepted or total < LEAST_BATCHES or share <= WARN_SHARE:
                return
            self._warned = True
            text = (
                f"{share:.0%} of the session batches are set aside and not learned from; "
                "`tinyqueue info` counts them by reason"
            )
        self._say(text)


def _kind_of_fault(text: str) -> str:
    """The failure without its numbers: ``Env-vN failed in step N in slot N: ValueError``."""
    where, _, said = text.partition(": ")
    return f"{_NUMBER.sub('N', where)[:96]}: {said.partition(':')[0][:32]}"
