"""Numbers of session batches by fate, which can be added up."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tally:
    """Session batches by fate, without their reasons.

    Attributes:
        accepted, set_aside, dropped, missing: Numbers of batches.
        env_steps: Env steps in the accepted ones.
    """

    accepted: int = 0
    set_aside: int = 0
    dropped: int = 0
    missing: int = 0
    env_steps: int = 0

    @property
    def attempted(self) -> int:
        """All of them."""
        return self.accepted + self.set_aside + self.dropped + self.missing

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.accepted + other.accepted,
            self.set_aside + other.set_aside,
            self.dropped + other.dropped,
            self.missing + other.missing,
            self.env_steps + other.env_steps,
        )

    def __sub__(self, other: Tally) -> Tally:
        return self + Tally(
            -other.accepted, -other.set_aside, -other.dropped, -other.missing, -other.env_steps
        )
