"""Transitions with n-step returns: made from batches, and gathered into samples."""

from __future__ import annotations

import numpy as np

from tinyqueue.data.session import SessionBatch
from tinyqueue.data.spaces import Array
from tinyqueue.replay.items import Ready
from tinyqueue.replay.plan import ReplayPlan
from tinyqueue.replay.ring import Ring
from tinyqueue.replay.samples import TransitionSample
from tinyqueue.replay.tail import Complete, Tail


class Transitions:
    """One item per valid tick, complete n ticks later or at its episode's end.

    Nothing is joined across a gap in a stage's batches: the last ticks before it become
    items with m < n, bootstrapped from the final observations that the stage had sent.

    Args:
        plan: What the algorithm requires.
        ring: The storage of the frames.
    """

    unfinished = 0

    def __init__(self, plan: ReplayPlan, ring: Ring) -> None:
        self._plan, self._ring = plan, ring
        self._returns = np.empty(ring.rows, np.float32)
        self._discounts = np.empty(ring.rows, np.float32)
        self._next_rows = np.empty(ring.rows, np.int64)

    def track(self) -> Tail:
        """An empty track, for a stage with nothing held."""
        return Tail(self._plan, self._ring)

    def add(self, track: Tail, block: int, batch: SessionBatch) -> Ready:
        """Takes in the batch just written to ``block``; returns the transitions now complete."""
        return self._keep(track.extend(block, batch))

    def close(self, track: Tail, block: int) -> Ready:
        """Ends a track at a gap; row 0 of ``block`` holds its final observations."""
        return self._keep(track.close(block))

    def last_rows(self, rows: Array) -> Array:
        """``[N]`` the row that each transition bootstraps from."""
        return self._next_rows.take(rows)

    def gather(self, rows: Array, births: Array, weights: Array) -> TransitionSample:
        """A :class:`TransitionSample` of ``[N]`` items."""
        next_rows = self._next_rows.take(rows)
        return TransitionSample(
            rows=rows,
            births=births,
            observations=self._ring.observations(rows),
            actions=self._ring.actions(rows),
            returns=self._returns.take(rows),
            discounts=self._discounts.take(rows),
            next_observations=self._ring.observations(next_rows),
            weights=weights,
            action_masks=self._ring.masks(rows),
            next_action_masks=self._ring.masks(next_rows),
        )

    def _keep(self, complete: Complete) -> Ready:
        self._returns[complete.rows] = complete.returns
        self._discounts[complete.rows] = complete.discounts
        self._next_rows[complete.rows] = complete.next_rows
        return Ready(complete.rows, complete.errors)
