"""Values that change over a run. The one clock is ``env_steps``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Linear:
    """``start`` at step 0, ``end`` from ``over_steps`` on, linear in between."""

    start: float
    end: float
    over_steps: int

    def __call__(self, env_steps: int) -> float:
        """The value after so many env steps; the end's beyond ``over_steps``."""
        if self.over_steps <= 0 or env_steps >= self.over_steps:
            return self.end
        return self.start + (self.end - self.start) * max(env_steps, 0) / self.over_steps


@dataclass(frozen=True)
class Constant:
    """The same ``value`` at every step."""

    value: float

    def __call__(self, env_steps: int) -> float:
        """The same at any time."""
        return self.value


Schedule = Linear | Constant
