"""Faults that are a number of messages."""

from __future__ import annotations

from collections.abc import Callable

from fault_campaign.fault import Acting, Fault
from fault_campaign.hostile import Hostile
from fault_campaign.world import EXPERIMENTS


def sending(each: Callable[[Hostile, str, int], None], most: int) -> Callable[[Acting], str]:
    """A fault: sends messages to both experiments, until so many or until its time is over."""

    def do(acting: Acting) -> str:
        hostile = acting.world.hostile
        hostile.begin(acting.lasts_s)
        for n in range(most):
            for experiment in EXPERIMENTS:
                if not hostile.goes_on:
                    return hostile.said()
                each(hostile, experiment, n)
        return hostile.said()

    return do


def sent(name: str, what: str, each: Callable[[Hostile, str, int], None], most: int) -> Fault:
    """The fault that is made of such messages, for one to six seconds."""
    return Fault(name, "message", what, sending(each, most), 1, 6)
