"""What games came to, as they finish: also of games that were ended, failed or interrupted."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

import numpy as np

from tinyqueue.data.spaces import Array
from tinyqueue.errors import EnvironmentFailedError
from tinyqueue.evaluation.wave import Wave

MOST_STEPS = 10_000
"""Env steps of a game without a limit of its own. Gymnasium's own limits end at 2,000 (Atari has
its frames), and a hundred such games are a million steps: half a minute of a light environment."""
TIMEOUT_S = 900.0
"""Wall time of one evaluation: a hundred games of Pong take two minutes on a core that trains."""


@dataclass(frozen=True)
class Limits:
    """What ends games that do not end by themselves.

    Attributes:
        max_steps: Env steps of a game in an environment without a limit of its own.
        timeout_s: Wall time of all games; those that are still on then are ended.
    """

    max_steps: int = MOST_STEPS
    timeout_s: float = TIMEOUT_S


@dataclass(frozen=True)
class Games:
    """Games that were played, in the order of their seeds.

    Attributes:
        returns: ``[E]`` float32, undiscounted sum of the environment's own rewards.
        lengths: ``[E]`` int32, env steps.
        seconds: Wall time of all of them.
        asked: How many were to be played; more than E where the time was over first.
        capped: How many were ended at ``max_steps``; they count with their return so far.
        max_steps: Env steps at which a game is ended.
        cut: How many were ended because the time was over; they count with their return so far.
        failures: How often the environment failed; such a game was played anew with another seed.
        failure: What the last failure was.
    """

    returns: Array
    lengths: Array
    seconds: float
    asked: int = 0
    capped: int = 0
    max_steps: int = 0
    cut: int = 0
    failures: int = 0
    failure: str = ""

    @property
    def remarks(self) -> list[str]:
        """What a person must know of how the games ended, a sentence each."""
        return remarks_on(
            len(self.returns),
            asked=self.asked,
            capped=self.capped,
            max_steps=self.max_steps,
            cut=self.cut,
            failures=self.failures,
            failure=self.failure,
        )


def remarks_on(
    played: int,
    *,
    asked: int,
    capped: int,
    max_steps: int,
    cut: int,
    failures: int,
    failure: str = "",
) -> list[str]:
    """What a person must know of how games ended. Arguments are those of :class:`Games`."""
    remarks = []
    if capped:
        remarks.append(f"{capped:,} of {played:,} games were ended at {max_steps:,} steps")
    if cut:
        remarks.append(f"{cut:,} of {played:,} games were ended because the time was over")
    if played < asked:
        remarks.append(f"{played:,} of {asked:,} games were played")
    if failures:
        said = f": {failure}" if failure else ""
        remarks.append(f"the environment failed {failures:,} times in these games{said}")
    return remarks


@dataclass
class Score:
    """Games as they finish.

    Attributes:
        returns, lengths: Of finished games, in the order in which they finished within a wave.
    """

    returns: list[float] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    asked: int = 0
    capped: int = 0
    cut: int = 0
    max_steps: int = MOST_STEPS
    failures: int = 0
    failure: str = ""
    _under_way: Wave | None = None
    _began_s: float = 0.0
    _timeout_s: float = math.inf

    def begin(self, asked: int, max_steps: int, timeout_s: float) -> None:
        """The games begin now."""
        self.asked, self.max_steps = asked, max_steps
        self._began_s, self._timeout_s = time.perf_counter(), timeout_s

    @property
    def is_over(self) -> bool:
        """Whether the time for the games is over."""
        return self.seconds > self._timeout_s

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._began_s

    def games(self, *, with_unfinished_wave: bool = False) -> Games:
        """What was played.

        Args:
            with_unfinished_wave: Also the finished games of a wave in which others are still on.
                Short ones are over-represented then.

        Raises:
            EnvironmentFailedError: Not one game was played.
        """
        returns, lengths = list(self.returns), list(self.lengths)
        wave = self._under_way
        if with_unfinished_wave and wave is not None:
            done = np.setdiff1d(np.arange(len(wave.returns)), wave.playing)
            returns += wave.returns[done].tolist()
            lengths += wave.lengths[done].tolist()
        if not returns:
            raise EnvironmentFailedError(
                f"no game was over within {self.seconds:.0f} s"
                f"{f'; {self.failure}' if self.failure else ''}. "
                "Give it more time (evaluation.timeout_s), or play fewer side by side "
                "(evaluation.slots).",
                kind="TimeOver",
            )
        return Games(
            np.array(returns, np.float32),
            np.array(lengths, np.int32),
            self.seconds,
            asked=self.asked,
            capped=self.capped,
            max_steps=self.max_steps,
            cut=self.cut,
            failures=self.failures,
            failure=self.failure,
        )

    def watch(self, wave: Wave) -> None:
        """The wave's games are under way."""
        self._under_way = wave

    def take(self, wave: Wave) -> None:
        """The wave is over: all of its games count.

        Raises:
            EnvironmentFailedError: A return is NaN, or goes beyond what a float32 holds.
        """
        sound = np.abs(wave.returns) <= np.finfo(np.float32).max
        if not sound.all():
            found = wave.returns[~sound][0]
            raise EnvironmentFailedError(
                f"a game came to a return of {found:g}: its rewards are NaN, infinite or too "
                "large. Correct what step returns.",
                kind="NotFinite",
            )
        self._under_way = None
        self.returns += wave.returns.tolist()
        self.lengths += wave.lengths.tolist()
        self.capped += int(wave.capped.sum())
        self.cut += len(wave.playing)

    def failed(self, error: EnvironmentFailedError) -> None:
        """The environment failed; the wave's games do not count."""
        self._under_way = None
        self.failures += 1
        self.failure = str(error)
