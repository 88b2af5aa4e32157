"""The ledger: every session batch has exactly one fate, across crashes of anything.

A batch may come twice (at-least-once delivery), late, or after its player gave it up
because a confirm was lost. Whichever of these the ledger sees first decides; all others
are counted apart, so that the sum balances after every step.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Self

from tinyqueue.data.identity import parse_batch_id
from tinyqueue.learner.ledger_file import LedgerFile, LedgerRows, ReasonKey
from tinyqueue.learner.marks import Count, Fate, Mark
from tinyqueue.learner.stage_count import GapChange, StageCount

__all__ = ["Count", "Ledger", "Mark"]

_WITHOUT_ID = ""
_MOST_REASONS = 64
_REASON_CHARACTERS = 48


class Ledger:
    """The marks of one run, on disk and mirrored in memory. Safe to use from any thread.

    Args:
        path: The SQLite file, made when absent. One process at a time: the run directory's
            lock sees to that.

    Raises:
        RunDirectoryError: The file is damaged, of another schema, or cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._file = LedgerFile(path)
        try:
            rows = self._file.read()
        except BaseException:
            self._file.close()
            raise
        self._mutex = Lock()
        self._stages = dict(rows.stages)
        self._reasons = dict(rows.reasons)
        self._again = {"duplicates": 0, "late_drops": 0, **rows.again}
        self._env_steps = sum(stage.env_steps for stage in self._stages.values())

    @property
    def env_steps(self) -> int:
        """Valid environment ticks accepted since the run began: the run's clock."""
        return self._env_steps

    def knows(self, batch_id: str) -> bool:
        """Whether the batch has its fate already, so that it must not be used (again)."""
        place = parse_batch_id(batch_id)
        if place is None:
            return False
        # Stages are replaced whole by record(), never changed: no lock is needed.
        stage = self._stages.get(place[0])
        return stage is not None and stage.is_settled(place[1])

    def record(self, marks: Iterable[Mark]) -> list[bool]:
        """Records fates in one transaction; on return they are on the disk.

        Returns:
            For each mark whether it decided its batch's fate. False: the batch had one, and
            the message is only counted, as a duplicate.

        Raises:
            RunDirectoryError: The disk does not take them; nothing has changed.
            ValueError: A mark accepts, or announces for, a batch without a readable id.
        """
        with self._mutex:
            step = _Step(self._stages, self._reasons, self._again)
            decided = [step.apply(mark) for mark in marks]
            if decided:
                self._file.write(
                    LedgerRows(step.stages, step.gap_changes, step.reasons, step.again)
                )
                self._stages.update(step.stages)
                self._reasons.update(step.reasons)
                self._again.update(step.again)
                self._env_steps += step.env_steps
            return decided

    def count(self) -> Count:
        """Where every batch is. 1 ms per 5,000 stages."""
        with self._mutex:
            stages = list(self._stages.values())
            reasons = dict(self._reasons)
            again = dict(self._again)
        return Count(
            attempted=sum(stage.next_n for stage in stages),
            accepted=sum(stage.accepted for stage in stages),
            set_aside={key.reason: n for key, n in reasons.items() if key.fate == "set aside"},
            dropped={key.reason: n for key, n in reasons.items() if key.fate == "dropped"},
            missing=sum(stage.missing for stage in stages),
            duplicates=again["duplicates"],
            late_drops=again["late_drops"],
            env_steps=sum(stage.env_steps for stage in stages),
        )

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class _Step:
    """The effect of some marks on copies of what they touch: nothing shows before the commit."""

    def __init__(
        self,
        before: dict[str, StageCount],
        reasons: dict[ReasonKey, int],
        again: dict[str, int],
    ) -> None:
        self._before = before
        self._reasons_before = reasons
        self._again_before = again
        self.stages: dict[str, StageCount] = {}
        self.gap_changes: list[tuple[str, GapChange]] = []
        self.reasons: dict[ReasonKey, int] = {}
        self.again: dict[str, int] = {}
        self.env_steps = 0

    def apply(self, mark: Mark) -> bool:
        place = parse_batch_id(mark.batch_id) if mark.batch_id is not None else None
        if place is None:
            if mark.fate == "accepted" or mark.announced:
                raise ValueError(f"{mark.batch_id!r} is not a batch id; {mark} means nothing")
            return self._apply_without_id(mark)
        stage, n = place
        # Earlier batches first: those given up then never become gaps.
        for drop in mark.announced:
            if not self._settle(stage, drop.n, "dropped", drop.reason):
                self._see_again("late_drops")
        if mark.fate != "duplicate" and self._settle(
            stage, n, mark.fate, mark.reason, mark.env_steps
        ):
            return True
        self._see_again("duplicates")
        return False

    def _apply_without_id(self, mark: Mark) -> bool:
        """Such messages are counted as a stage of their own, one n for each."""
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
        """The key to count under. Reasons may be a player's words: their number is bounded."""
        key = ReasonKey(fate, reason)
        if key in self._reasons_before or key in self.reasons:
            return key
        shown = "".join(c if c.isascii() and c.isprintable() else "?" for c in reason)
        key = ReasonKey(fate, shown[:_REASON_CHARACTERS] or "unstated")
        known = self._reasons_before.keys() | self.reasons.keys()
        if key not in known and len(known) >= _MOST_REASONS:
            key = ReasonKey(fate, "other")
        return key
