"""The effect of a group of marks on a ledger's counts and session log, in one transaction."""

from __future__ import annotations

from tinyqueue.data.identity import parse_batch_id
from tinyqueue.ledger.ledger_file import ReasonKey
from tinyqueue.ledger.marks import Fate, Mark, Recorded
from tinyqueue.ledger.session_rows import NewRow
from tinyqueue.ledger.stage_count import GapChange, StageCount

_WITHOUT_ID = ""
_MOST_REASONS = 64
_REASON_CHARACTERS = 48


class LedgerStep:
    """Applies marks to copies of the counts they affect: nothing is visible before the commit.

    Args:
        before: Stage id → its count; never changed.
        reasons, again: Other counts; never changed.
        number: Number of the session log's next row.

    Attributes:
        stages, reasons, again: Changed counts.
        gap_changes: Stage id and change, in order.
        env_steps: Env steps accepted.
        bodies: Rows to append to the session log.
    """

    def __init__(
        self,
        before: dict[str, StageCount],
        reasons: dict[ReasonKey, int],
        again: dict[str, int],
        number: int,
    ) -> None:
        self._number = number
        self._before = before
        self._reasons_before = reasons
        self._again_before = again
        self.stages: dict[str, StageCount] = {}
        self.gap_changes: list[tuple[str, GapChange]] = []
        self.reasons: dict[ReasonKey, int] = {}
        self.again: dict[str, int] = {}
        self.env_steps = 0
        self.bodies: list[NewRow] = []

    def apply(self, mark: Mark) -> Recorded:
        """Applies one mark.

        Raises:
            ValueError: It accepts a batch, or announces drops, without a readable batch id.
        """
        place = parse_batch_id(mark.batch_id) if mark.batch_id is not None else None
        if place is None:
            if mark.fate == "accepted" or mark.announced:
                raise ValueError(f"{mark.batch_id!r} is not a batch id; {mark} means nothing")
            return Recorded(self._apply_without_id(mark))
        stage, n = place
        # Earlier batches first, so that those given up never become gaps.
        for drop in mark.announced:
            if not self._settle(stage, drop.n, "dropped", drop.reason):
                self._see_again("late_drops")
        if mark.fate != "duplicate" and self._settle(
            stage, n, mark.fate, mark.reason, mark.env_steps
        ):
            return Recorded(True, self._keep(mark))
        self._see_again("duplicates")
        return Recorded(False)

    def _keep(self, mark: Mark) -> int:
        """Keeps the body, if there is one; returns its number, or 0."""
        if mark.fate != "accepted" or mark.body is None or mark.batch_id is None:
            return 0
        number = self._number + len(self.bodies)
        self.bodies.append(NewRow(number, mark.batch_id, mark.env_steps, mark.body))
        return number

    def _apply_without_id(self, mark: Mark) -> bool:
        """Counts the message in a stage reserved for messages without id, one n for each."""
        if mark.fate == "duplicate":
            self._see_again("duplicates")
            return False
        return self._settle(_WITHOUT_ID, self._stage(_WITHOUT_ID).next_n, mark.fate, mark.reason)

    def _settle(self, name: str, n: int, fate: Fate, reason: str, env_steps: int = 0) -> bool:
        stage = self._stage(name)
        if stage.is_settled(n):
            return False
        if name not in self.stages:
            stage = self.stages[name] = stage.copy()
        change = stage.settle(n)
        if change.removed or change.added:
            self.gap_changes.append((name, change))
        if fate == "accepted":
            stage.accepted += 1
            stage.env_steps += env_steps
            self.env_steps += env_steps
            return True
        if fate == "set aside":
            stage.set_aside += 1
        else:
            stage.dropped += 1
        key = self._reason_key(fate, reason)
        self.reasons[key] = self.reasons.get(key, self._reasons_before.get(key, 0)) + 1
        return True

    def _see_again(self, kind: str) -> None:
        self.again[kind] = self.again.get(kind, self._again_before[kind]) + 1

    def _stage(self, name: str) -> StageCount:
        return self.stages.get(name) or self._before.get(name) or StageCount(name)

    def _reason_key(self, fate: Fate, reason: str) -> ReasonKey:
        """The key to count under. Reasons may come from players, so their number is limited."""
        key = ReasonKey(fate, reason)
        if key in self._reasons_before or key in self.reasons:
            return key
        shown = "".join(c if c.isascii() and c.isprintable() else "?" for c in reason)
        key = ReasonKey(fate, shown[:_REASON_CHARACTERS] or "unstated")
        known = self._reasons_before.keys() | self.reasons.keys()
        if key not in known and len(known) >= _MOST_REASONS:
            key = ReasonKey(fate, "other")
        return key
