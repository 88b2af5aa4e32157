"""The header of a session batch as plain values, and back."""

from __future__ import annotations

import math
import re
from dataclasses import asdict
from typing import Any

import numpy as np

from tinyqueue.data.identity import EXPERIMENT_PATTERN, MOST_BATCHES
from tinyqueue.data.pace import MOST, Pace
from tinyqueue.data.session import Drop, Header
from tinyqueue.data.spaces import Array
from tinyqueue.errors import MessageError
from tinyqueue.wire.fields import Fields, is_short_text, short_text
from tinyqueue.wire.limits import SESSION_LIMITS, Limits

_MOST_ENDED_TASKS = 1024
_STAGE = re.compile("[0-9a-f]{32}")
_REASON = re.compile("[a-z][a-z -]{0,31}")


def header_values(header: Header) -> dict[str, Any]:
    """The header as plain values; its epsilons travel as an array."""
    faults = {"faults": header.faults, "fault": short_text(header.fault)} if header.faults else {}
    pace = {} if header.pace is None else {"pace": asdict(header.pace)}
    credit = {"credit": header.credit} if header.credit else {}
    return {
        "experiment": header.experiment,
        "run": header.run,
        "stage": header.stage,
        "n": header.n,
        "user": header.user,
        "player": header.player,
        "policy_version": header.policy_version,
        "spec_version": header.spec_version,
        "task": header.task,
        "ended_tasks": header.ended_tasks[-_MOST_ENDED_TASKS:],
        "seed": header.seed,
        "play_s": float(header.play_s),
        "dropped": _ranges(header.dropped[-SESSION_LIMITS.drops :])[-SESSION_LIMITS.drop_ranges :],
        # Only where there were some: earlier versions do not know these keys.
        **faults,
        **pace,
        **credit,
    }


def _ranges(dropped: tuple[Drop, ...]) -> list[tuple[str, int, int]]:
    """Drops as (reason, first n, count): a player cut off for a day gives up thousands."""
    ranges: list[tuple[str, int, int]] = []
    for drop in dropped:
        if ranges:
            reason, first, count = ranges[-1]
            if reason == drop.reason and drop.n == first + count:
                ranges[-1] = (reason, first, count + drop.count)
                continue
        ranges.append((drop.reason, drop.n, drop.count))
    return ranges


def header_from(fields: Fields, epsilons: Array | None, limits: Limits) -> Header:
    """The header, each value checked for type and size.

    Raises:
        MessageError: A value is missing or wrong.
    """
    n = fields.integer("n")
    if n >= MOST_BATCHES:
        raise MessageError("range", f"a stage has no batch {n}")
    ended = fields.items("ended_tasks")
    if len(ended) > _MOST_ENDED_TASKS or not all(map(is_short_text, ended)):
        raise MessageError("malformed", "ended_tasks are not at most 1,024 short texts")
    return Header(
        experiment=fields.text("experiment", EXPERIMENT_PATTERN),
        run=fields.text("run"),
        stage=fields.text("stage", _STAGE),
        n=n,
        user=fields.text("user"),
        player=fields.text("player"),
        policy_version=fields.integer("policy_version"),
        spec_version=fields.integer("spec_version"),
        task=fields.text("task"),
        ended_tasks=tuple(ended),
        seed=fields.integer("seed"),
        play_s=fields.number("play_s"),
        dropped=_drops(fields.items("dropped"), n, limits),
        epsilons=() if epsilons is None else _epsilons(epsilons),
        faults=fields.integer("faults") if "faults" in fields else 0,
        fault=fields.text("fault") if "fault" in fields else "",
        pace=_pace(Fields(fields.table("pace"))) if "pace" in fields else None,
        credit=fields.integer("credit") if "credit" in fields else 0,
    )


def _pace(fields: Fields) -> Pace:
    pace = Pace(
        steps=fields.integer("steps"),
        p50_ms=fields.number("p50_ms"),
        p99_ms=fields.number("p99_ms"),
        worst_ms=fields.number("worst_ms"),
        missed_ticks=fields.integer("missed_ticks"),
        late_ticks=fields.integer("late_ticks"),
    )
    if max(asdict(pace).values()) > MOST:
        raise MessageError("range", f"a number in pace exceeds {MOST:,}")
    return pace


def _drops(ranges: list[Any], before: int, limits: Limits) -> tuple[Drop, ...]:
    if len(ranges) > limits.drop_ranges:
        raise MessageError("range", f"more than {limits.drop_ranges} ranges of drops")
    drops: list[Drop] = []
    end = batches = 0
    for item in ranges:
        if type(item) is not list or len(item) != 3:
            raise MessageError("malformed", "a drop is not [reason, first, count]")
        reason, first, count = item
        if type(reason) is not str or not _REASON.fullmatch(reason):
            raise MessageError("malformed", "a drop's reason is not a few lower-case letters")
        if type(first) is not int or type(count) is not int or first < 0 or count < 1:
            raise MessageError("malformed", "a drop's first is negative or its count not positive")
        if first < end:
            raise MessageError("range", f"drops are told twice, or not in order, at {first}")
        end, batches = first + count, batches + count
        if end > before or batches > limits.drops:
            raise MessageError("range", f"drops reach {end}, past batch {before}")
        drops.append(Drop(first, reason, count))
    return tuple(drops)


def _epsilons(array: Array) -> tuple[float, ...]:
    if array.dtype != np.float64 or array.ndim != 1:
        raise MessageError("shape", "epsilons are not one float64 per slot")
    values = array.tolist()
    if not all(math.isfinite(value) and 0 <= value <= 1 for value in values):
        raise MessageError("probability", "an exploration rate is outside 0 … 1")
    return tuple(values)
