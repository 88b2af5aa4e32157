"""How many stages each login has in a ledger, and which of them are left out when it has too many.

A player has one stage at a time, and a new one after each restart.
"""

from __future__ import annotations

from collections.abc import Iterable

from tinyqueue.ledger.ledger_step import LedgerState, LedgerStep
from tinyqueue.ledger.stage_count import StageCount

MOST_STAGES = 8192
"""Stages of one login with a row of their own: 4 MB of memory and 1 MB of disk. If it begins
more, the one that was used the longest time ago is counted without its row, and what comes for it
later counts as a new stage."""


class StagesOfLogins:
    """Keeps the stages of a ledger in the order of their use, by account.

    Args:
        state: The ledger's state, which :meth:`use` and :meth:`remove` change.
    """

    def __init__(self, state: LedgerState) -> None:
        self._stages = state.stages
        self._account = state.account
        self._order: dict[str, dict[str, None]] = {}
        for stage in state.stages.values():
            self._of(stage)[stage.stage] = None

    def surplus(self, step: LedgerStep) -> list[StageCount]:
        """The stages that have to give way to those of a step."""
        begun: dict[str, int] = {}
        for stage in step.stages.values():
            before = self._stages.get(stage.stage)
            if before is None or before.login != stage.login:
                account = self._account(stage.login)
                begun[account] = begun.get(account, 0) + 1
        found: list[StageCount] = []
        for account, new in begun.items():
            order = self._order.get(account, {})
            surplus = len(order) + new - MOST_STAGES
            if surplus > 0:
                quiet = (name for name in order if name not in step.stages)
                found += [
                    self._stages[name] for name, _ in zip(quiet, range(surplus), strict=False)
                ]
        return found

    def use(self, stages: Iterable[StageCount]) -> None:
        """Replaces the counts of stages, in the order of their use."""
        for stage in stages:
            before = self._stages.get(stage.stage)
            if before is not None:
                self._of(before).pop(stage.stage, None)
            self._of(stage)[stage.stage] = None
            self._stages[stage.stage] = stage

    def remove(self, stages: Iterable[StageCount]) -> None:
        """Forgets stages."""
        for stage in stages:
            self._of(stage).pop(stage.stage, None)
            del self._stages[stage.stage]

    def _of(self, stage: StageCount) -> dict[str, None]:
        return self._order.setdefault(self._account(stage.login), {})
