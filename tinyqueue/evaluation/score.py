"""Counts games as they finish, including games that were ended, failed or interrupted."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

import numpy as np

from tinyqueue.data.pace import Pace
from tinyqueue.data.spaces import Array
from tinyqueue.errors import EnvironmentFailedError
from tinyqueue.evaluation.wave import Wave

MOST_STEPS = 10_000
"""Env steps of a game without its own limit. Gymnasium's limits go up to 2,000 (Atari counts
frames), and a hundred such games are a million steps: half a minute in a light environment."""
TIMEOUT_S = 900.0
"""Wall time of one evaluation: a hundred games of Pong take two minutes on a core that trains."""


@dataclass(frozen=True)
class Limits:
    """What ends games that do not end by themselves.

    Attributes:
        max_steps: Env steps of a game in an environment without its own limit.
        timeout_s: Wall time for all games; those still on are then ended.
    """

    max_steps: int = MOST_STEPS
    timeout_s: float = TIMEOUT_S


@dataclass(frozen=True)
class Games:
    """Evaluation episodes that were played, in the order of their seeds.

    Attributes:
        returns: ``[E]`` float32, undiscounted sum of the environment's own rewards.
        lengths: ``[E]`` int32, env steps.
        seconds: Wall time of all of them.
        asked: How many were requested; more than E if the time was over first.
        capped: How many were ended at ``max_steps``; they count with their return so far.
        max_steps: Env steps at which a game is ended.
        cut: How many were ended because the time was over; they count with their return so far.
        failures: How often the environment failed; such games were played again with another seed.
        failure: The last failure.
        pace: How soon an environment that owns its clock got its actions; None for others.
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
    pace: Pace | None = None

    @property
    def remarks(self) -> list[str]:
        """What the user should know about how the games ended, one sentence each."""
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
    """What the user should know about how games ended. Arguments are those of :class:`Games`."""
    remarks = []
    if capped:
        remarks.append(f"{capped:,} of {played:,} games were ended at {max_steps:,} steps")
    if cut:
        remarks.append(f"{cut:,} of {played:,} games were ended because the time was over")
    if played < asked:
        remarks.append(f"{played:,} of {asked:,} games were played")
    if failures:
        said = f": {failure}" if failure else ""
        times = "once" if failures == 1 else f"{failures:,} times"
        remarks.append(
            f"the environment failed {times} in these games; such games were played again with "
            f"another seed and do not count, which may move the mean{said}"
        )
    return remarks


@dataclass
class Score:
    """Counts games as they finish.

    Attributes:
        returns, lengths: Of the games of finished waves, in the order of their seeds.
        asked, capped, cut, max_steps, failures, failure: As in :class:`Games`.
        paces: Of those waves, where the environment owns its clock.
    """

    returns: list[float] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    asked: int = 0
    capped: int = 0
    cut: int = 0
    max_steps: int = MOST_STEPS
    failures: int = 0
    failure: str = ""
    paces: list[Pace] = field(default_factory=list)
    _under_way: Wave | None = None
    _began_s: float = 0.0
    _timeout_s: float = math.inf

    def begin(self, asked: int, max_steps: int, timeout_s: float) -> None:
        """Starts the clock.

        Args:
            asked: Number of games requested.
            max_steps: Env steps at which a game is ended.
            timeout_s: Wall time for all games.
        """
        self.asked, self.max_steps = asked, max_steps
        self._began_s, self._timeout_s = time.perf_counter(), timeout_s

    @property
    def is_over(self) -> bool:
        """Whether the time for the games is over."""
        return self.seconds > self._timeout_s

    @property
    def seconds(self) -> float:
        """Wall time since :meth:`begin`."""
        return time.perf_counter() - self._began_s

    def games(self, *, with_unfinished_wave: bool = False) -> Games:
        """What was played.

        Args:
            with_unfinished_wave: Include finished games of a wave in which others are still on.
                Short games are then over-represented.

        Raises:
            EnvironmentFailedError: Not a single game was finished.
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
                "Give it more time (evaluation.timeout_s), or play fewer in parallel "
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
            pace=Pace.merged(self.paces) if self.paces else None,
        )

    def watch(self, wave: Wave) -> None:
        """Notes the wave that is being played."""
        self._under_way = wave

    def take(self, wave: Wave) -> None:
        """Counts all games of a finished wave.

        Raises:
            EnvironmentFailedError: A return is NaN, or too large for float32.
        """
        sound = np.abs(wave.returns) <= np.finfo(np.float32).max
        if not sound.all():
            found = wave.returns[~sound][0]
            raise EnvironmentFailedError(
                f"a game has a return of {found:g}: its rewards are NaN, infinite or too "
                "large. Correct what step returns.",
                kind="NotFinite",
            )
        self._under_way = None
        self.returns += wave.returns.tolist()
        self.lengths += wave.lengths.tolist()
        self.capped += int(wave.capped.sum())
        self.cut += len(wave.playing)

    def failed(self, error: EnvironmentFailedError) -> None:
        """Notes a failure of the environment. The wave's games do not count."""
        self._under_way = None
        self.failures += 1
        self.failure = str(error)
