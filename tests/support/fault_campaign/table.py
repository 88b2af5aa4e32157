"""Every fault, and the order that a seed puts them in."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from fault_campaign import of_claims, of_messages, of_processes, of_services
from fault_campaign.fault import Fault

FAULTS: dict[str, Fault] = {
    fault.name: fault
    for part in (of_processes, of_services, of_messages, of_claims)
    for fault in part.FAULTS
}
SHORT_S = 3.0
"""In a short campaign nothing lasts longer."""


@dataclass(frozen=True)
class Planned:
    """One fault of a schedule.

    Attributes:
        number: From 1.
        fault: Which.
        lasts_s: Seconds.
        pause_s: Seconds of peace before it.
        seed: Of what it draws itself.
    """

    number: int
    fault: Fault
    lasts_s: float
    pause_s: float
    seed: int


def schedule(
    count: int,
    seed: int,
    names: list[str],
    *,
    short: bool = False,
    lasts_s: float | None = None,
) -> list[Planned]:
    """Faults in rounds, each of which has every fault once, in an order of its own.

    Args:
        count: How many.
        seed: Decides everything.
        names: Which; all of them if empty.
        short: Whether none lasts longer than :data:`SHORT_S`.
        lasts_s: How long each lasts that lasts at all; a random time of its own if None.
    """
    rng = random.Random(seed)
    faults = [FAULTS[name] for name in names] or list(FAULTS.values())
    planned: list[Planned] = []
    while len(planned) < count:
        for fault in rng.sample(faults, len(faults)):
            drawn_s = _drawn(rng, fault)
            if lasts_s is not None and drawn_s:
                drawn_s = lasts_s
            planned.append(
                Planned(
                    len(planned) + 1,
                    fault,
                    min(drawn_s, SHORT_S) if short else drawn_s,
                    rng.uniform(0.0, 1.0),
                    rng.getrandbits(32),
                )
            )
    return planned[:count]


def _drawn(rng: random.Random, fault: Fault) -> float:
    if fault.most_s == 0.0:
        return 0.0
    return math.exp(rng.uniform(math.log(fault.least_s), math.log(fault.most_s)))
