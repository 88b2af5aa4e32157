"""What a fault is: a name, whose recovery it delays, and how it is done and undone."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from fault_campaign.world import World

GOALS_S = {"player": 5.0, "broker": 10.0, "redis": 5.0, "learner": 30.0, "message": 5.0}
"""Kind of fault → seconds within which 95 % of recoveries end. What players send is to cost what
the loss of a player costs."""


@dataclass(frozen=True)
class Acting:
    """What a fault is done to, and its share of the schedule's chance.

    Attributes:
        world: The servers and processes.
        rng: Random numbers of this fault alone.
        lasts_s: How long it lasts, if it lasts.
    """

    world: World
    rng: random.Random
    lasts_s: float

    def wait(self) -> None:
        """Returns when the fault has lasted long enough."""
        time.sleep(self.lasts_s)


@dataclass(frozen=True)
class Fault:
    """One kind of fault.

    Attributes:
        name: Unique, for ``--only``.
        kind: One of :data:`GOALS_S`.
        what: A sentence for people.
        do: Does it, undoes it, and returns a detail for the report. Recovery counts from then on.
            It raises AssertionError if something that was promised was not so.
        least_s, most_s: Between which seconds its duration is drawn, evenly by orders of
            magnitude.
    """

    name: str
    kind: str
    what: str
    do: Callable[[Acting], str]
    least_s: float = 0.0
    most_s: float = 0.0
