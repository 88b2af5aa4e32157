"""The effect of a group of marks on a ledger's counts and session log, in one transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from tinyqueue.data.identity import parse_batch_id
from tinyqueue.ledger.early_refusals import EarlyRefusals
from tinyqueue.ledger.ledger_file import ReasonKey
from tinyqueue.ledger.marks import Fate, Mark, Recorded
from tinyqueue.ledger.session_rows import NewRow
from tinyqueue.ledger.stage_count import MOST_AHEAD, StageCount
from tinyqueue.ledger.tally import Tally

UNSTORABLE = "not storable"
"""Reason for dropping a batch whose body cannot be written to the session log."""
_PLAYERS_REASONS = frozenset({"broker unreachable", "no learner", "queue full"})
"""Reasons of tinyqueue's own players, which others' cannot push out."""
MOST_LOGINS = 256
"""More are counted together. Only an operator makes logins, but RabbitMQ lets a login without
topic permissions write any name into its routing keys."""
OTHERS = "*"
"""The account of further logins; no login is called so."""
_MOST_REASONS = 64
"""Reasons from which on new ones of players are counted together."""
_REASON_CHARACTERS = 48


@dataclass
class LedgerState:
    """What a ledger holds in memory.

    Attributes:
        stages: Stage id → its count, from the one used the longest time ago to the newest.
        logins: Account → the batches counted without their stage.
        reasons: Numbers of batches set aside or dropped.
        again: Numbers of ``duplicates`` and ``late_drops``.
        refused: What was set aside before its stage was known.
    """

    stages: dict[str, StageCount]
    logins: dict[str, Tally]
    reasons: dict[ReasonKey, int]
    again: dict[str, int]
    refused: EarlyRefusals = field(default_factory=EarlyRefusals)
    _accounts: set[str] = field(default_factory=set)

    def account(self, login: str) -> str:
        """The name under which a login is counted: its own, unless there are too many."""
        if login not in self._accounts and login not in self.logins:
            if len(self._accounts | self.logins.keys()) >= MOST_LOGINS:
                return OTHERS
            self._accounts.add(login)
        return login


class LedgerStep:
    """Applies marks to copies of the counts they affect: nothing is visible before the commit.

    Args:
        before: The state; never changed.
        number: Number of the session log's next row.
        used: Number of the next use of a stage.
        needs_bodies: Whether a batch without its body cannot be accepted.

    Attributes:
        stages, logins, reasons, again: Changed counts.
        added: Change of the total.
        bodies: Rows to append to the session log.
        used: Number of the next use of a stage.
        refused: Login, stage and n of what was set aside before its stage was known.
    """

    def __init__(
        self, before: LedgerState, number: int, used: int = 1, needs_bodies: bool = False
    ) -> None:
        self._before = before
        self._number = number
        self.used = used
        self._needs_bodies = needs_bodies
        self.stages: dict[str, StageCount] = {}
        self.logins: dict[str, Tally] = {}
        self.reasons: dict[ReasonKey, int] = {}
        self.again: dict[str, int] = {}
        self.added = Tally()
        self.bodies: list[NewRow] = []
        self.refused: list[tuple[str, str, int]] = []

    def apply(self, mark: Mark) -> Recorded:
        """Applies one mark.

        Raises:
            ValueError: It accepts a batch, or announces drops, without a readable batch id.
        """
        place = parse_batch_id(mark.batch_id) if mark.batch_id is not None else None
        if place is None:
            if mark.fate == "accepted" or mark.announced:
                raise ValueError(f"{mark.batch_id!r} is not a batch id; {mark} means nothing")
            return Recorded(self._count_without_stage(mark))
        name, n = place
        if mark.fate == "duplicate" or self._is_over(name, n, mark):
            self._announce(name, mark)
            self._see_again("duplicates")
            return Recorded(False)
        is_known = self._stage(name) is not None or bool(mark.announced)
        if mark.fate == "set aside" and not is_known:
            self.refused.append((mark.login, name, n))
            return Recorded(self._count_without_stage(mark))
        row = self._row(mark)
        if mark.body is not None and row is None and self._needs_bodies:
            mark = replace(mark, fate="dropped", reason=UNSTORABLE, env_steps=0)
        missed = self._announce(name, mark)
        # It may have been announced as given up by itself.
        if not self._settle(name, n, mark, MOST_AHEAD - missed):
            self._see_again("duplicates")
            return Recorded(False)
        if row is None or mark.fate != "accepted":
            return Recorded(True)
        self.bodies.append(row)
        return Recorded(True, row.number)

    def _is_over(self, name: str, n: int, mark: Mark) -> bool:
        """Whether the mark can decide nothing: its batch has a fate, or is not its login's."""
        stage = self._stage(name)
        if stage is not None:
            return not belongs(stage.login, mark.login) or stage.is_settled(n)
        earlier = self._before.refused.knows(mark.login, name, n)
        return earlier or (mark.login, name, n) in self.refused

    def _row(self, mark: Mark) -> NewRow | None:
        """The row of an accepted batch's body; None if there is none, or it cannot be written."""
        if mark.fate != "accepted" or mark.body is None or mark.batch_id is None:
            return None
        number = self._number + len(self.bodies)
        return NewRow.of(number, mark.batch_id, mark.env_steps, mark.body)

    def _announce(self, name: str, mark: Mark) -> int:
        """Settles what a mark's header says was given up; returns how many are missing now."""
        missed = 0
        # Earlier batches first, so that those given up never become gaps.
        for drop in mark.announced:
            stage = self._changed(name, mark.login)
            if stage is None:
                break
            last = drop.n + drop.count - 1
            before = stage.tally
            settled = stage.settle(drop.n, last, MOST_AHEAD - missed)
            missed += settled.missed
            stage.dropped += settled.batches
            self.added += stage.tally - before
            self._count("dropped", self._announced_reason(drop.reason), settled.batches)
            self._see_again("late_drops", drop.count - settled.batches)
        return missed

    def _settle(self, name: str, n: int, mark: Mark, most_missed: int) -> bool:
        stage = self._changed(name, mark.login)
        if stage is None or stage.is_settled(n):
            return False
        before = stage.tally
        stage.settle(n, n, most_missed)
        if mark.fate == "accepted":
            stage.accepted += 1
            stage.env_steps += mark.env_steps
        elif mark.fate == "set aside":
            stage.set_aside += 1
        else:
            stage.dropped += 1
        self.added += stage.tally - before
        if mark.fate != "accepted":
            self._count(mark.fate, mark.reason)
        return True

    def _changed(self, name: str, login: str) -> StageCount | None:
        """A copy of the stage's count, to change; None if it is another login's."""
        stage = self._stage(name)
        if stage is None:
            stage = self._begun(name, login)
        elif not belongs(stage.login, login):
            return None
        elif name not in self.stages:
            stage = stage.copy()
        stage.login = stage.login or login
        stage.used = self.used
        self.used += 1
        # Last among those used.
        self.stages.pop(name, None)
        self.stages[name] = stage
        return stage

    def _begun(self, name: str, login: str) -> StageCount:
        """A new stage, without the batches that are counted already."""
        stage = StageCount(name)
        now = {n for who, which, n in self.refused if (who, which) == (login, name)}
        missed = 0
        for n in sorted(now | self._before.refused.of(login, name)):
            missed += stage.settle(n, n, MOST_AHEAD - missed).missed
            stage.skipped += 1
        self.refused = [each for each in self.refused if each[:2] != (login, name)]
        self.added += stage.tally
        return stage

    def _count_without_stage(self, mark: Mark) -> bool:
        if mark.fate == "duplicate":
            self._see_again("duplicates")
            return False
        one = Tally(set_aside=1) if mark.fate == "set aside" else Tally(dropped=1)
        self.add_to_login(mark.login, one)
        self.added += one
        self._count(mark.fate, mark.reason)
        return True

    def add_to_login(self, login: str, tally: Tally) -> None:
        """Counts batches of a login without their stage."""
        login = self._before.account(login)
        before = self.logins.get(login) or self._before.logins.get(login) or Tally()
        self.logins[login] = before + tally

    def _see_again(self, kind: str, messages: int = 1) -> None:
        if messages:
            self.again[kind] = self.again.get(kind, self._before.again[kind]) + messages

    def _stage(self, name: str) -> StageCount | None:
        return self.stages.get(name) or self._before.stages.get(name)

    def _count(self, fate: Fate, reason: str, batches: int = 1) -> None:
        if batches:
            key = ReasonKey(fate, reason)
            self.reasons[key] = self.reasons.get(key, self._before.reasons.get(key, 0)) + batches

    def _announced_reason(self, reason: str) -> str:
        """What to count a player's reason under. The learner's own are few, and need no limit."""
        known: Mapping[ReasonKey, int] = self._before.reasons | self.reasons
        if ReasonKey("dropped", reason) in known or reason in _PLAYERS_REASONS:
            return reason
        shown = "".join(c if c.isascii() and c.isprintable() else "?" for c in reason)
        shown = shown[:_REASON_CHARACTERS] or "unstated"
        is_new = ReasonKey("dropped", shown) not in known
        return "other" if is_new and len(known) >= _MOST_REASONS else shown


def belongs(owner: str, login: str) -> bool:
    """Whether a login may use a stage of this owner; on Redis, where all are "", all may.

    A mark that has lost its login must not pass for everybody's where there are logins.
    """
    return not owner or owner == login
