"""What was set aside before its stage had any other batch.

Such messages get no row of their own, since whoever sends rubbish can invent stages without end.
They are counted by login, and noted here, in memory only, so that a stage that comes to life
after all does not count them as missing too.
"""

from __future__ import annotations

MOST_NUMBERS = 1024
"""Batches noted for one login; the stages that were first refused are forgotten first."""


class EarlyRefusals:
    """The numbers of batches that were set aside, by login and stage."""

    def __init__(self) -> None:
        self._stages: dict[str, dict[str, set[int]]] = {}
        self._sizes: dict[str, int] = {}

    def of(self, login: str, stage: str) -> frozenset[int]:
        """What is noted of a stage."""
        return frozenset(self._stages.get(login, {}).get(stage, ()))

    def knows(self, login: str, stage: str, n: int) -> bool:
        """Whether this batch is noted."""
        return n in self._stages.get(login, {}).get(stage, ())

    def note(self, login: str, stage: str, n: int) -> None:
        """Notes a batch."""
        stages = self._stages.setdefault(login, {})
        numbers = stages.setdefault(stage, set())
        if n not in numbers:
            numbers.add(n)
            self._sizes[login] = self._sizes.get(login, 0) + 1
        while self._sizes[login] > MOST_NUMBERS:
            self.forget(login, next(iter(stages)))

    def forget(self, login: str, stage: str) -> None:
        """Forgets a stage."""
        numbers = self._stages.get(login, {}).pop(stage, set())
        self._sizes[login] = self._sizes.get(login, 0) - len(numbers)

    def __len__(self) -> int:
        return sum(self._sizes.values())
