"""What keeps a run from making progress: failed tasks, batches set aside.

They are reported and counted, and can be a reason to give up. All is counted by login: what one
sends hides nothing that others report, and ends no run that others play for.
"""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tinyqueue.experience.login_record import MOST_KINDS, MOST_PLAYERS, Kind, LoginRecord
from tinyqueue.wire.failures import ENDED, LOST, TaskFailure

__all__ = ["MOST_KINDS", "MOST_LOGINS", "Setbacks"]

REMIND_LAST_S = 600.0
"""The longest time between two reminders of a failure that continues."""
WARN_SHARE, END_SHARE = 0.05, 0.5
"""Shares of session batches set aside above which the user is warned, and the run ends."""
GOING_PATIENCE = 5
"""Factor on the patience with a run that had made progress for a while."""
AWAY_S = 3600.0
"""A login that has played counts as failing neither nor well after so long a silence: it has left,
and keeps a run in which all others fail no longer alive."""
LEAST_BATCHES = 20
"""Shares of fewer batches mean nothing."""
MOST_LOGINS = 64
"""Logins that are counted apart; more are counted together."""
MOST_REMARKS = 3
"""Kinds of failures that are told of at the end of a run; senders choose their number."""
_TOLD_AT_THE_END = {
    f"failed: {ENDED}": ("player's process ended", "players' processes ended"),
    "failed: ": ("play task failed", "play tasks failed"),
    "evaluation: ": ("worker's evaluation failed", "workers' evaluations failed"),
}
"""How names of kinds begin → one of them, and several. The first that fits is a kind's group."""
_NUMBER = re.compile(r"\d+")


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
        self._logins: dict[str, LoginRecord] = {}
        self._first_accepted_s = self._last_accepted_s = 0.0

    def failed(self, failure: TaskFailure, login: str = "", *, was_sent: bool = True) -> None:
        """Counts a task that a player of this login could not play.

        Args:
            failure: The player's report.
            login: The player's login; empty without one.
            was_sent: Whether this learner has sent the task. Anybody can invent one.
        """
        with self._lock:
            record = self._of(login)
            record.has_played |= was_sent
            if failure.kind.startswith(ENDED):
                record.ended(failure.task)
            # A restarted broker delivers tasks again; nothing is wrong then. Or the reason comes
            # right after. A short run says it at its end.
            if failure.kind == LOST and not (record.came_again(failure.task) and record.lost >= 3):
                return
            # Once batches have come, the player or others go on with the next task.
            did = "gave up a task" if self._last_accepted_s else "cannot play"
            # A player chooses its name; its login is the broker's word.
            whose = f" of login {login}" if login else ""
        told = f"player {failure.player}{whose} {did}: {failure.text}"
        if failure.kind.startswith((LOST, ENDED)):
            told = f"player {failure.player}{whose}: {failure.text}"
        self._note(f"failed: {failure.kind}", told, failure.player, login)

    def not_evaluated(self, failure: TaskFailure, login: str = "") -> None:
        """Counts an evaluation that a worker of this login could not play; the learner plays it.

        Args:
            failure: The worker's report.
            login: The worker's login; empty without one.
        """
        told = f"player {failure.player} cannot evaluate, so the learner does: {failure.text}"
        self._note(f"evaluation: {failure.kind}", told, failure.player, login)

    def fault(self, player: str, text: str, count: int, login: str = "") -> None:
        """Counts environments that failed and were built again while the others continued.

        Args:
            player: Name of the player; empty without one.
            text: The last failure.
            count: Number of failures.
            login: The player's login; empty without one.
        """
        by = f" (player {player})" if player else ""
        told = f"an environment failed and was built again; the others play on: {text}{by}"
        self._note(f"fault: {_kind_of_fault(text)}", told, player, login, count)

    def aside(
        self,
        reason: str,
        detail: str,
        player: str = "",
        login: str = "",
        *,
        was_accepted: bool = False,
    ) -> None:
        """Counts a session batch that was set aside.

        Args:
            reason: A short code.
            detail: The message for the user.
            player: Name of the player; empty if unknown.
            login: The sender's login; empty without one.
            was_accepted: Whether it was counted as accepted before.
        """
        accepted = -1 if was_accepted else 0
        with self._lock:
            record = self._of(login)
            # A player is known only where the header was readable, and its sender's own.
            record.has_played |= bool(player)
            record.count(accepted, 1, self._clock(), self._give_up_after_s)
        by = f" (player {player})" if player else ""
        told = f"a session batch is set aside: {detail}{by}"
        self._note(f"set aside: {reason}", told, player, login)
        self._warn_of_share(login)

    def clipped(self, count: int, detail: str, player: str = "", login: str = "") -> None:
        """Counts clipped rewards of a batch.

        Args:
            count: How many were clipped.
            detail: The message for the user.
            player: Name of the player; empty if unknown.
            login: The sender's login; empty without one.
        """
        by = f" (player {player})" if player else ""
        self._note("clipped", f"{detail}{by}", player, login, count)

    def not_believed(
        self, what: str, count: int, detail: str, player: str = "", login: str = ""
    ) -> None:
        """Counts what a player claims of its episodes and is not counted as it says.

        Args:
            what: What it is about, in a word.
            count: How many claims there were.
            detail: The first of them, and what counts instead, in words.
            player: Name of the player; empty if unknown.
            login: The sender's login; empty without one.
        """
        whose = f"player {player}, login {login}" if login else f"player {player}"
        self._note(f"claims: {what}", f"{detail} ({whose})", player, login, count)

    def accepted(self, login: str = "") -> None:
        """Counts a valid session batch."""
        with self._lock:
            now_s = self._clock()
            if not self._last_accepted_s:
                self._first_accepted_s = now_s
            self._last_accepted_s = now_s
            self._of(login).count(1, 0, now_s, self._give_up_after_s)

    def look(self) -> None:
        """Reports setbacks that continue, if a reminder is due. Call it now and then."""
        now_s = self._clock()
        lines = []
        with self._lock:
            for kind in self._kinds():
                if kind.count > kind.told and now_s >= kind.next_s:
                    kind.told = kind.count
                    kind.pause_s = min(2 * kind.pause_s, REMIND_LAST_S)
                    kind.next_s = now_s + kind.pause_s
                    lines.append(f"{kind.text} [{kind.count:,} times{_players(kind)}]")
        for line in lines:
            self._say(line)

    def closing_remarks(self) -> list[str]:
        """What players failed in while the run went on, the most frequent first.

        Of a run without an accepted batch nothing: its failures are the reason that it ends.
        """
        with self._lock:
            remarks = []
            if self._last_accepted_s:
                for group, (one, many) in _TOLD_AT_THE_END.items():
                    remarks += self._failures(group, one, many)
            return [*remarks, *self._came_again()]

    def _failures(self, group: str, one: str, many: str) -> list[str]:
        """A remark for each of the most frequent kinds of a group, and one for all others."""
        kinds: dict[str, tuple[int, str]] = {}
        for record in self._logins.values():
            for name, kind in record.kinds.items():
                # It has words of its own.
                if _group(name) == group and name != f"{group}{LOST}":
                    count, text = kinds.get(name, (0, kind.text.rstrip(".")))
                    kinds[name] = count + kind.count, text
        ordered = sorted(kinds.values(), key=lambda kind: -kind[0])
        first, rest = ordered[:MOST_REMARKS], sum(count for count, _ in ordered[MOST_REMARKS:])
        remarks = [f"{_counted(count, one, many)}, first: {text}" for count, text in first]
        return [*remarks, f"{_counted(rest, one, many)} otherwise"] if rest else remarks

    def _came_again(self) -> list[str]:
        """Tasks that came again without a reason that anybody has told."""
        lost = sum(each.lost for each in self._logins.values())
        if not lost:
            return []
        they = "it" if lost == 1 else "them"
        return [
            f"{_counted(lost, 'play task', 'play tasks')} came again: the process that played "
            f"{they} ended without a word (its environment crashed it, it ran out of memory, or it "
            "was killed), or lost its broker"
        ]

    def hopeless(self) -> str:
        """Why the run cannot make progress; empty while it can.

        It can while any login does: of those whose batches have been accepted before, every one
        must fail that has not been silent for :data:`AWAY_S`. Only if there are none, failures of
        others count, and all of these must fail. Whoever sends only what no player does (tasks
        that were not sent, or messages without a readable header), or has tasks that come again,
        is waited for as long as a run that was going: players that still build their environments
        are silent.
        """
        with self._lock:
            now_s = self._clock()
            records = [record for record in self._logins.values() if record.accepted]
            have_played = bool(records)
            if have_played:
                away_s = max(AWAY_S, 2 * self._patience_s)
                present = [each for each in records if now_s - each.heard_s < away_s]
                records = present or records
            else:
                records = [each for each in self._logins.values() if each.first_s is not None]
                # Not one of those who only send rubbish hides what real players report.
                records = [each for each in records if each.has_played] or records
                away_s = GOING_PATIENCE * self._give_up_after_s
                records = [each for each in records if now_s - each.heard_s < away_s]
            first_s = min((r.first_s for r in records if r.first_s is not None), default=None)
            if first_s is None:
                return ""
            since_s, patience_s = first_s, self._patience_s
            if have_played:
                since_s = max(first_s, *(each.last_accepted_s for each in records))
            elif not any(each.has_played and not each.only_lost for each in records):
                patience_s = GOING_PATIENCE * self._give_up_after_s
            fails = all(r.is_failing(now_s, self._give_up_after_s + 1.0) for r in records)
            if now_s - since_s >= patience_s and fails:
                worst = _worst(kind for record in records for kind in record.setbacks)
                return (
                    f"no session batch was accepted within {now_s - since_s:.0f} s: {worst.text} "
                    f"[{worst.count:,} times]"
                )
            return self._mostly_aside(records, now_s) if have_played else ""

    def document(self) -> dict[str, Any]:
        """For ``tinyqueue info``: message → how often it happened."""
        with self._lock:
            counts: Counter[str] = Counter()
            for kind in self._kinds():
                counts[kind.text] += kind.count
            return dict(counts)

    def counts(self) -> Mapping[str, int]:
        """Kind → how often it happened."""
        with self._lock:
            counts: Counter[str] = Counter()
            for record in self._logins.values():
                counts.update({name: kind.count for name, kind in record.kinds.items()})
            return counts

    @property
    def _patience_s(self) -> float:
        """Longer for a run that has made progress: what fails may recover."""
        went_s = self._last_accepted_s - self._first_accepted_s
        return self._give_up_after_s * (GOING_PATIENCE if went_s > self._give_up_after_s else 1)

    def _of(self, login: str) -> LoginRecord:
        if login not in self._logins and len(self._logins) >= MOST_LOGINS:
            login = "*"
        return self._logins.setdefault(login, LoginRecord())

    def _kinds(self) -> list[Kind]:
        return [kind for record in self._logins.values() for kind in record.kinds.values()]

    def _note(self, name: str, text: str, player: str, login: str, count: int = 1) -> None:
        with self._lock:
            now_s, record = self._clock(), self._of(login)
            # That tasks come again any player can bring about for others, so it ends no run that
            # has had batches. A process that ends is told of apart.
            may_end = name != f"failed: {LOST}" or not self._last_accepted_s
            if may_end and name.startswith(("failed: ", "set aside: ")):
                record.latest_s = now_s
                if record.first_s is None:
                    record.first_s = now_s
            is_first = record.note(name, text, player, count, now_s)
        if is_first:
            self._say(text)

    def _mostly_aside(self, records: list[LoginRecord], now_s: float) -> str:
        accepted = aside = 0
        for record in records:
            good, bad = record.windowed(now_s - self._give_up_after_s)
            began_s = record.first_s
            is_new = began_s is None or now_s - began_s < self._give_up_after_s
            if is_new or bad <= END_SHARE * (good + bad):
                return ""
            accepted, aside = accepted + good, aside + bad
        if accepted + aside < LEAST_BATCHES:
            return ""
        worst = _worst(
            kind
            for record in records
            for name, kind in record.kinds.items()
            if name.startswith("set aside: ")
        )
        return (
            f"of the last {accepted + aside:,} session batches {aside:,} were set aside: "
            f"{worst.text}"
        )

    def _warn_of_share(self, login: str) -> None:
        with self._lock:
            record = self._of(login)
            total = record.accepted + record.aside
            share = record.aside / total
            is_little = total < LEAST_BATCHES or share <= WARN_SHARE
            if record.warned or not record.accepted or is_little:
                return
            record.warned = True
            whose = f" of login {login}" if len(self._logins) > 1 and login else ""
            text = (
                f"{share:.0%} of the session batches{whose} are set aside and not learned from; "
                "`tinyqueue info` counts them by reason"
            )
        self._say(text)


def _group(name: str) -> str | None:
    return next((group for group in _TOLD_AT_THE_END if name.startswith(group)), None)


def _counted(count: int, one: str, many: str) -> str:
    """``a play task``, ``1,204 play tasks``."""
    return f"a {one}" if count == 1 else f"{count:,} {many}"


def _worst(kinds: Iterable[Kind]) -> Kind:
    return max(kinds, key=lambda kind: kind.count)


def _players(kind: Kind) -> str:
    """How many players had it, if more than one: ``, 3 players``."""
    count = len(kind.players)
    more = " or more" if count >= MOST_PLAYERS else ""
    return f", {count}{more} players" if count > 1 else ""


def _kind_of_fault(text: str) -> str:
    """The failure without its numbers: ``Env-vN failed in step N in slot N: ValueError``."""
    where, _, said = text.partition(": ")
    return f"{_NUMBER.sub('N', where)[:96]}: {said.partition(':')[0][:32]}"
