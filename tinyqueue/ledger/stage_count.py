"""The state of one stage's batches: a high-water mark, the gaps below it, and counts.

It stays small, however many batches there are, and the gaps show what is missing.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from dataclasses import dataclass, field, replace

Gap = tuple[int, int]
"""First and last n of a range of batches that have not arrived."""

_HIGHEST = 1 << 63


@dataclass(frozen=True)
class GapChange:
    """What settling one batch does to the gaps: it removes at most one and adds at most two."""

    removed: Gap | None = None
    added: tuple[Gap, ...] = ()


@dataclass
class StageCount:
    """The batches of one stage.

    Attributes:
        stage: The stage's id.
        next_n: The high-water mark: one above the highest n settled so far.
        gaps: Ranges below it that are missing, in order.
        missing: Number of batches in the gaps.
        accepted, set_aside, dropped: Number of batches by fate.
        env_steps: Env steps in the accepted ones.
    """

    stage: str
    next_n: int = 0
    gaps: list[Gap] = field(default_factory=list)
    missing: int = 0
    accepted: int = 0
    set_aside: int = 0
    dropped: int = 0
    env_steps: int = 0

    @property
    def unbalanced(self) -> int:
        """Attempted batches that are in no count. Anything but 0 is a bug."""
        return self.next_n - self.accepted - self.set_aside - self.dropped - self.missing

    def copy(self) -> StageCount:
        """An independent copy."""
        return replace(self, gaps=list(self.gaps))

    def is_settled(self, n: int) -> bool:
        """Whether batch n has its fate; n ≥ 0."""
        return n < self.next_n and self._gap_of(n) < 0

    def settle(self, n: int) -> GapChange:
        """Marks batch n as settled; the caller counts its fate.

        Returns:
            The change of the gaps.

        Raises:
            ValueError: n is already settled, or negative. Nothing has changed.
        """
        if n < 0 or self.is_settled(n):
            raise ValueError(f"batch {n} of stage {self.stage} cannot be settled (again)")
        if n >= self.next_n:
            added = ((self.next_n, n - 1),) if n > self.next_n else ()
            self.gaps.extend(added)
            self.missing += n - self.next_n
            self.next_n = n + 1
            return GapChange(added=added)
        first, last = gap = self.gaps.pop(self._gap_of(n))
        rest = tuple(part for part in ((first, n - 1), (n + 1, last)) if part[0] <= part[1])
        for part in rest:
            insort(self.gaps, part)
        self.missing -= 1
        return GapChange(gap, rest)

    def _gap_of(self, n: int) -> int:
        """Index of the gap that contains n, or −1."""
        at = bisect_right(self.gaps, (n, _HIGHEST)) - 1
        return at if at >= 0 and n <= self.gaps[at][1] else -1
