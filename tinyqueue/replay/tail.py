"""The last n ticks of a stage, whose n-step returns wait for the following ticks."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tinyqueue.data.session import SessionBatch
from tinyqueue.data.spaces import Array
from tinyqueue.replay.items import shaped_rewards
from tinyqueue.replay.n_step import n_step
from tinyqueue.replay.plan import ReplayPlan
from tinyqueue.replay.ring import Ring
from tinyqueue.replay.value_rescaling import rescale, unscale


class Complete(NamedTuple):
    """Ticks whose n-step return is now known, as columns of equal length N.

    Attributes:
        rows, next_rows: int64, the row of the tick and the row to bootstrap from.
        returns, discounts: float64, R and D.
        errors: float64, |R + D·max Q(next) − Q(s, a)| by the player's values; NaN where one of
            them was not recorded.
    """

    rows: Array
    next_rows: Array
    returns: Array
    discounts: Array
    errors: Array


class _Ticks(NamedTuple):
    """Ticks of all slots as columns ``[W, B]``."""

    rows: Array
    births: Array
    rewards: Array
    terminated: Array
    ended: Array
    pending: Array
    q_taken: Array
    q_max: Array


class Tail:
    """Joins the batches of one stage.

    Args:
        plan: For n, γ, the clipping and scale of rewards, and the scale of recorded Q values.
        ring: The storage of the rows.
    """

    def __init__(self, plan: ReplayPlan, ring: Ring) -> None:
        self._plan, self._ring = plan, ring
        self._kept: _Ticks | None = None

    def extend(self, block: int, batch: SessionBatch) -> Complete:
        """Takes in the stage's next batch, written to ``block``; returns ticks now complete."""
        plan, rows = self._plan, self._ring.block_table(block)
        unknown = np.full(rows.shape, np.nan, np.float32)
        return self._complete(
            _Ticks(
                rows=rows,
                births=self._ring.births(rows),
                rewards=shaped_rewards(batch.rewards, plan.reward_scale, plan.reward_clip),
                terminated=batch.terminated,
                ended=batch.terminated | batch.truncated,
                pending=batch.valid,
                q_taken=batch.extras.get("q_taken", unknown),
                q_max=batch.extras.get("q_max", unknown),
            )
        )

    def close(self, block: int) -> Complete:
        """Completes the remaining ticks with m < n.

        Row 0 of ``block`` holds the final observations.
        """
        assert self._kept is not None, "a tail is closed only after a batch"
        self._kept.ended[-1] = True
        rows = self._ring.block_table(block)[:1]
        no = np.zeros(rows.shape, bool)
        zero, unknown = np.zeros((2, *rows.shape), np.float32)
        unknown[:] = np.nan
        births = self._ring.births(rows)
        return self._complete(_Ticks(rows, births, zero, no, no, no, unknown, unknown))

    def _complete(self, new: _Ticks) -> Complete:
        plan, kept = self._plan, self._kept
        ticks = new if kept is None else _Ticks(*map(np.concatenate, zip(kept, new, strict=True)))
        window = len(ticks.rows)
        found = n_step(ticks.rewards, ticks.terminated, ticks.ended, plan.n_step, plan.gamma)
        next_tick = np.arange(window)[:, None] + found.steps
        is_complete = ticks.pending & found.is_whole & (next_tick < window)
        pending = ticks.pending & ~is_complete
        tail = ticks._replace(pending=pending)
        self._kept = _Ticks(*(column[-plan.n_step :].copy() for column in tail))
        if kept is not None:
            # The tail's blocks may have been evicted since.
            lost = ~self._ring.is_held(kept.rows, kept.births)
            is_complete[: len(lost)] &= ~lost
        at, slot = np.nonzero(is_complete)
        after = next_tick[at, slot]
        returns, discounts = found.returns[at, slot], found.discounts[at, slot]
        return Complete(
            rows=ticks.rows[at, slot],
            next_rows=ticks.rows[after, slot],
            returns=returns,
            discounts=discounts,
            errors=self._errors(
                returns, discounts, ticks.q_taken[at, slot], ticks.q_max[after, slot]
            ),
        )

    def _errors(self, returns: Array, discounts: Array, q_taken: Array, q_max: Array) -> Array:
        bootstrap = unscale(q_max.astype(np.float64)) if self._plan.rescaled else q_max
        # Where nothing is bootstrapped, the next value need not be known.
        targets: Array = returns + np.where(discounts > 0, discounts * bootstrap, 0.0)
        if self._plan.rescaled:
            targets = rescale(targets)
        errors: Array = np.abs(targets - q_taken)
        return errors
