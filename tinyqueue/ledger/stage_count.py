"""The state of one stage's batches: a high-water mark, the gaps below it, and counts.

It stays small, however many batches there are, and whatever their sender says of them.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from tinyqueue.ledger.tally import Tally

Gap = tuple[int, int]
"""First and last n of a range of batches that have not arrived."""

MOST_GAPS = 16
"""Gaps of one stage in which a late batch still finds its place. The oldest one is closed then:
its batches stay missing. A player has at most one batch on its way."""
MOST_AHEAD = 1024
"""Batches that one message may turn into missing ones by its n. More of one player's batches do
not get lost at a time: the queue between player and learner is shorter."""
_HIGHEST = 1 << 63


class Settled(NamedTuple):
    """What settling did.

    Attributes:
        batches: How many had no fate before.
        missed: How many earlier batches are missing now that were not known of before.
    """

    batches: int
    missed: int = 0


@dataclass
class StageCount:
    """The batches of one stage.

    Attributes:
        stage: The stage's id.
        login: The login that it belongs to; empty if no login has been known with it.
        used: Number of its last use among those of all stages.
        next_n: The high-water mark: one above the highest n settled so far.
        gaps: Ranges below it that are missing, in order.
        closed: Missing batches whose gaps were closed.
        skipped: Batches below the high-water mark that are in no other count: further ahead than
            one message may reach, or counted without their stage.
        missing: Number of batches in the gaps, and closed ones.
        accepted, set_aside, dropped: Number of batches by fate.
        env_steps: Env steps in the accepted ones.
    """

    stage: str
    login: str = ""
    used: int = 0
    next_n: int = 0
    gaps: list[Gap] = field(default_factory=list)
    closed: int = 0
    skipped: int = 0
    missing: int = 0
    accepted: int = 0
    set_aside: int = 0
    dropped: int = 0
    env_steps: int = 0

    @property
    def tally(self) -> Tally:
        """Its batches by fate."""
        return Tally(self.accepted, self.set_aside, self.dropped, self.missing, self.env_steps)

    @property
    def unbalanced(self) -> int:
        """Numbers below the high-water mark that are in no count. Anything but 0 is a bug."""
        return self.next_n - self.tally.attempted - self.skipped

    def copy(self) -> StageCount:
        """An independent copy."""
        return replace(self, gaps=list(self.gaps))

    def is_settled(self, n: int) -> bool:
        """Whether batch n can get no fate any more; n ≥ 0."""
        return n < self.next_n and self._gap_of(n) < 0

    def settle(self, first: int, last: int | None = None, most_missed: int = MOST_AHEAD) -> Settled:
        """Marks the batches ``first`` … ``last`` as settled; the caller counts their fate.

        Args:
            first: The first one; 0 or more.
            last: The last one; ``first`` if None.
            most_missed: Earlier batches that may become missing; more are skipped.

        Returns:
            How many had no fate before, and how many became missing.
        """
        last = first if last is None else last
        batches = self._fill(first, min(last, self.next_n - 1))
        missed = 0
        if last >= self.next_n:
            start = max(first, self.next_n)
            missed = self._open(start, most_missed)
            batches += last - start + 1
            self.next_n = last + 1
        while len(self.gaps) > MOST_GAPS:
            low, high = self.gaps.pop(0)
            self.closed += high - low + 1
        return Settled(batches, missed)

    def _open(self, start: int, most_missed: int) -> int:
        """Opens a gap up to ``start``, the new high-water mark; returns its size."""
        unseen = start - self.next_n
        missed = min(unseen, max(0, most_missed))
        if missed:
            self.gaps.append((start - missed, start - 1))
            self.missing += missed
        self.skipped += unseen - missed
        return missed

    def _fill(self, first: int, last: int) -> int:
        """Takes ``first`` … ``last`` out of the gaps; returns how many were in them."""
        begin = end = max(0, bisect_right(self.gaps, (first, _HIGHEST)) - 1)
        filled = 0
        rest: list[Gap] = []
        while end < len(self.gaps) and self.gaps[end][0] <= last:
            low, high = self.gaps[end]
            end += 1
            inside = min(high, last) - max(low, first) + 1
            if inside <= 0:
                rest.append((low, high))
                continue
            filled += inside
            parts = (low, first - 1), (last + 1, high)
            rest += [part for part in parts if part[0] <= part[1]]
        self.gaps[begin:end] = rest
        self.missing -= filled
        return filled

    def _gap_of(self, n: int) -> int:
        """Index of the gap that contains n, or −1."""
        at = bisect_right(self.gaps, (n, _HIGHEST)) - 1
        return at if at >= 0 and n <= self.gaps[at][1] else -1
