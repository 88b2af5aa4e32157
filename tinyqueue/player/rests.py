"""How long a process rests before it gives back a task that it could not play.

A process that fails at once would otherwise use up tasks faster than all others together can play
them. The rest grows with every failure of the same experiment; other experiments do not wait longer
for that.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from tinyqueue.connection_faults import REFUSED
from tinyqueue.errors import (
    ConfigError,
    EnvironmentMismatchError,
    MissingExtraError,
    ServiceUnreachableError,
)

BUSY_REST_S = 2.0
"""Longest rest of a process that plays other experiments: it is of use, and they must not wait."""
BUSY_FOR_S = 60.0
"""How long after a played task a process counts as one that plays an experiment."""
_MOST_EXPERIMENTS = 256


@dataclass(frozen=True)
class Growth:
    """Longest rest after the first failure and after many; it doubles with each."""

    first_s: float
    most_s: float


UNFIT = Growth(1.0, 30.0)
"""This machine cannot play the experiment: a package, a module or a permission is missing, a
password is wrong, or its environment is another one. Somebody has to mend that."""
FAILED = Growth(0.1, 15.0)
"""The environment, or anything else: it may work the next time."""
AWAY = Growth(0.5, 5.0)
"""A service does not answer. When it does again, players should be back within seconds."""


def is_unfit(error: BaseException) -> bool:
    """Whether the error says that this machine cannot play an experiment, now or later."""
    if isinstance(error, ServiceUnreachableError):
        return error.kind in REFUSED
    return isinstance(error, ConfigError | MissingExtraError | EnvironmentMismatchError)


def growth_of(error: BaseException) -> Growth:
    """How the rests after such errors grow."""
    if is_unfit(error):
        return UNFIT
    return AWAY if isinstance(error, ServiceUnreachableError) else FAILED


class Rests:
    """Counts the failures in a row of each experiment, in one process.

    Args:
        clock: Monotonic seconds.
        jitter: Returns a number in [0, 1). The default uses its own generator, since ``random`` is
            seeded for environments.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] | None = None,
    ) -> None:
        self._clock = clock
        self._jitter = jitter or random.Random().random
        self._in_a_row: dict[str, float] = {}
        self._played_s: dict[str, float] = {}

    def played(self, experiment: str) -> None:
        """Notes that a task was played: the next failure is the first in a row."""
        self._in_a_row.pop(experiment, None)
        _add(self._played_s, experiment, self._clock())

    def failed(self, experiment: str, growth: Growth) -> float:
        """Notes that a task was not played; returns the seconds to rest.

        It is half to all of the longest rest, at random.
        """
        before = int(self._in_a_row.get(experiment, 0))
        _add(self._in_a_row, experiment, before + 1)
        longest_s = min(growth.most_s, growth.first_s * 2.0 ** min(before, 32))
        since_s = self._clock() - BUSY_FOR_S
        if any(at_s > since_s for name, at_s in self._played_s.items() if name != experiment):
            longest_s = min(longest_s, BUSY_REST_S)
        return longest_s * (0.5 + 0.5 * self._jitter())


def _add(kept: dict[str, float], name: str, value: float) -> None:
    """Sets a value and keeps the dict small; the oldest go first."""
    kept.pop(name, None)
    kept[name] = value
    if len(kept) > _MOST_EXPERIMENTS:
        del kept[next(iter(kept))]
