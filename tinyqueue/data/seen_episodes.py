"""Returns and lengths of episodes as their rewards prove them, whatever a player claims."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace

import numpy as np

from tinyqueue.data.episodes import EpisodeAccumulator, Episodes
from tinyqueue.data.names import EPISODE_STEPS
from tinyqueue.data.session import SessionBatch
from tinyqueue.data.spaces import Array

MOST_SLOTS = 1 << 18
"""Slots to remember, of all stages together. A thousand players of 64 have 64,000."""
_MOST_REWARD = 1e24
# Rewards that are clipped later may be as large as float32; the sum of many must not overflow it.
_ROUNDING = 1e-4
# Some players may add up rewards in float32. Relative to the largest sum of so many rewards.


@dataclass
class _Stage:
    """Where a stage is.

    Attributes:
        n: Number of its next batch.
        seen: What its slots have earned in the present episode, as far as that was seen.
        lacks: ``[B]`` bool, whether the start of that episode was not seen.
        largest: Largest magnitude of its rewards so far.
    """

    n: int
    seen: EpisodeAccumulator
    lacks: Array
    largest: float = 0.0


@dataclass(frozen=True)
class Seen:
    """The episodes of a batch that count.

    Attributes:
        episodes: Their returns and lengths are those that the rewards add up to.
        contradicted: How many claims the rewards contradict, of episodes seen from their start.
        text: The first of them, in words; empty if there is none.
        uncounted: How many episodes do not count, since too little of them was seen.
    """

    episodes: Episodes
    contradicted: int = 0
    text: str = ""
    uncounted: int = 0


class SeenEpisodes:
    """Adds up the rewards of every stage, since a player can claim any return.

    An episode runs through many batches. Where one of them was not seen (it was lost, or the
    learner was not there yet), its player's claim counts if at least half of the steps were seen,
    and the others cannot have had larger rewards than the stage has shown. So a false claim says
    no more than false rewards would. An episode of which less was seen does not count.

    Args:
        most_slots: Slots to remember. Beyond it, the stage is forgotten that was silent longest.
    """

    def __init__(self, most_slots: int = MOST_SLOTS) -> None:
        self._most_slots = most_slots
        self._stages: OrderedDict[str, _Stage] = OrderedDict()
        self._slots = 0

    def of(self, batch: SessionBatch, rewards: Array | None = None) -> Seen:
        """The episodes that ended in a batch.

        Args:
            batch: It has passed the contract. Batches of a stage come in the order of their
                numbers; one out of order counts as the first after a gap.
            rewards: ``[T, B]`` finite rewards to add up; None: those of the batch.
        """
        if rewards is None:
            rewards = batch.rewards
        else:
            rewards = np.clip(rewards, -_MOST_REWARD, _MOST_REWARD)
        stage = self._before(batch)
        stage.n = batch.header.n + 1
        stage.largest = max(stage.largest, float(np.abs(rewards).max()))
        ended = batch.terminated | batch.truncated
        proven = stage.seen.add(rewards, ended, batch.valid, 0.0, 0.0)
        lacks = stage.lacks
        if not len(proven):
            return Seen(batch.episodes)
        stage.lacks = lacks & ~ended.any(axis=0)
        claimed = _in_order(batch.episodes, proven.slots)
        if claimed is None:
            # It is about other slots than those whose episodes ended.
            claimed = replace(proven, lengths=np.zeros_like(proven.lengths))
        unseen = np.zeros(len(proven), bool)
        if lacks.any():
            _, first = np.unique(proven.slots, return_index=True)
            unseen[first] = lacks[proven.slots[first]]
        return _judged(claimed, proven, unseen, stage.largest)

    def _before(self, batch: SessionBatch) -> _Stage:
        """The stage as it was before the batch, from now on the one that was heard last."""
        header, slots = batch.header, batch.slots
        stage = self._stages.get(header.stage)
        if stage is not None and len(stage.lacks) == slots:
            self._stages.move_to_end(header.stage)
            if stage.n == header.n:
                return stage
            largest = stage.largest
        else:
            largest = 0.0
            self._slots += slots - (0 if stage is None else len(stage.lacks))
        steps = batch.carry.get(EPISODE_STEPS)
        begins = np.full(slots, header.n == 0) if steps is None else steps == 0
        stage = _Stage(header.n, EpisodeAccumulator(slots), ~begins & batch.valid[0], largest)
        self._stages[header.stage] = stage
        while self._slots > self._most_slots and len(self._stages) > 1:
            _, silent = self._stages.popitem(last=False)
            self._slots -= len(silent.lacks)
        return stage


def _in_order(claimed: Episodes, slots: Array) -> Episodes | None:
    """The claimed episodes in the order of these slots; None if they are about other slots."""
    if np.array_equal(claimed.slots, slots):
        return claimed
    # Those of one slot are in order of time in both.
    ours, theirs = np.argsort(slots, kind="stable"), np.argsort(claimed.slots, kind="stable")
    if not np.array_equal(slots[ours], claimed.slots[theirs]):
        return None
    order = np.empty(len(slots), np.intp)
    order[ours] = theirs
    return _taken(claimed, order)


def _judged(claimed: Episodes, proven: Episodes, lacks: Array, largest: float) -> Seen:
    """Which returns and lengths count.

    Args:
        claimed, proven: In the same order.
        lacks: ``[E]`` bool, whether the start of an episode was not seen.
        largest: Largest magnitude of a reward of the stage.
    """
    returns, sums = claimed.returns.astype(np.float64), proven.returns.astype(np.float64)
    spare = _ROUNDING * (1.0 + largest * proven.lengths)
    unseen = np.where(lacks, claimed.lengths.astype(np.int64) - proven.lengths, 0)
    agrees = np.abs(returns - sums) <= spare + np.maximum(unseen, 0) * largest
    counts = ~lacks | (agrees & (unseen >= 0) & (unseen <= proven.lengths))
    # Where the start was not seen, rewards may have been larger there: that is no lie.
    wrong = ~lacks & ~(agrees & (claimed.lengths == proven.lengths))
    told = ""
    if wrong.any():
        at = int(np.flatnonzero(wrong)[0])
        told = (
            f"an episode in slot {proven.slots[at]} is said to have a return of "
            f"{returns[at]:g} in {claimed.lengths[at]:,} steps, and its rewards add up to "
            f"{sums[at]:g} in {proven.lengths[at]:,}"
        )
    episodes = replace(
        claimed,
        returns=np.where(lacks, claimed.returns, proven.returns),
        lengths=np.where(lacks, claimed.lengths, proven.lengths),
    )
    if not counts.all():
        episodes = _taken(episodes, np.flatnonzero(counts))
    uncounted = int(np.count_nonzero(~counts))
    return Seen(episodes, int(np.count_nonzero(wrong)), told, uncounted)


def _taken(episodes: Episodes, rows: Array) -> Episodes:
    info = {
        name: values[rows]
        for name in ("info_last", "info_mean")
        if (values := getattr(episodes, name)).size
    }
    return replace(
        episodes,
        slots=episodes.slots[rows],
        returns=episodes.returns[rows],
        lengths=episodes.lengths[rows],
        seconds=episodes.seconds[rows],
        **info,
    )
