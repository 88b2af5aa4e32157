"""How often something may happen."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Allowance:
    """Something that may happen ``most`` times at once, and ``per_s`` times a second.

    Attributes:
        left: How often it may happen now.
        at_s: When that was worked out, on the caller's clock.
    """

    left: float
    at_s: float

    def take(self, now_s: float, most: float, per_s: float) -> bool:
        """Whether it may happen once more; if so, it counts as done."""
        self.left = min(most, self.left + (now_s - self.at_s) * per_s)
        self.at_s = now_s
        if self.left < 1:
            return False
        self.left -= 1
        return True
