"""Sequences for recurrent networks, as R2D2 trains on them (Kapturowski et al., 2019, §3)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tinyqueue.data.names import PREVIOUS_REWARD, carried_action, carried_state
from tinyqueue.data.session import SessionBatch
from tinyqueue.data.spaces import Array, Arrays
from tinyqueue.replay.items import Ready, shaped_rewards
from tinyqueue.replay.plan import ReplayPlan
from tinyqueue.replay.ring import Ring
from tinyqueue.replay.samples import SequenceSample
from tinyqueue.replay.tail import Complete, Tail
from tinyqueue.replay.unfinished import Begun, Unfinished


class Sequences:
    """Items of burn_in + unroll ticks within one episode.

    One begins at tick 0 of every batch, with the recurrent state that the player sent, and
    one at every episode's first row, with a state of zeros. The latter is padded in front by
    burn_in ticks, so that its loss starts at the episode's first tick. After the episode's
    end, or a gap, a sequence is masked; without a tick to train on it does not become an item.

    Args:
        plan: What the algorithm requires.
        ring: The storage of the frames.
        state: Recurrent state: path → shape of one slot.
    """

    def __init__(self, plan: ReplayPlan, ring: Ring, state: Mapping[str, tuple[int, ...]]) -> None:
        self._plan, self._ring = plan, ring
        self._rewards = np.empty(ring.rows, np.float32)
        self._terminated = np.empty(ring.rows, bool)
        self._lengths = np.empty(ring.rows, np.uint16)
        self._errors = np.empty(ring.rows, np.float32)
        of_slots = (ring.blocks, ring.slots)
        self._state: Arrays = {
            path: np.empty((*of_slots, *shape), np.float32) for path, shape in state.items()
        }
        action = ring.actions(np.empty(0, np.int64))
        self._previous_actions = np.empty((*of_slots, *action.shape[1:]), action.dtype)
        self._previous_rewards = np.empty(of_slots, np.float32)
        self._previous_action_name = carried_action(ring.action_path)
        self.unfinished = 0
        """Sequences lost because a gap or an eviction cut them short."""

    def track(self) -> Unfinished:
        """An empty track, for a stage with nothing held."""
        return Unfinished(Tail(self._plan, self._ring))

    def add(self, track: Unfinished, block: int, batch: SessionBatch) -> Ready:
        """Takes in the batch just written to ``block``; returns the sequences now complete."""
        ring = self._ring
        table = ring.block_table(block)
        self._rewards[table], self._terminated[table] = batch.rewards, batch.terminated
        self._keep_carry(block, batch.carry)
        self._learn_errors(table, track.tail.extend(block, batch))
        is_first = batch.valid & (ring.ages[table] == 0)
        begins = is_first.copy()
        begins[0] = batch.valid[0]
        at, slots = np.nonzero(begins)
        rows = table[at, slots]
        padding = np.where(is_first[at, slots], self._plan.burn_in, 0)
        wanted = self._plan.burn_in + self._plan.unroll - padding
        begun = Begun(rows, ring.births(rows), slots, track.ticks + at, padding, wanted)
        done = track.extend(begun, batch.terminated | batch.truncated)
        return self._keep(done)

    def close(self, track: Unfinished, block: int) -> Ready:
        """Ends a track at a gap; row 0 of ``block`` holds its final observations."""
        self._learn_errors(self._ring.block_table(block)[:1], track.tail.close(block))
        return self._keep(track.close(), is_cut=True)

    def last_rows(self, rows: Array) -> Array:
        """``[N]`` the row after each sequence's last tick."""
        return self._ring.moved(rows, self._lengths[rows].astype(np.int64))

    def gather(self, rows: Array, births: Array, weights: Array) -> SequenceSample:
        """A :class:`SequenceSample` of ``[N]`` items."""
        plan, ring = self._plan, self._ring
        length = self._lengths[rows].astype(np.int64)
        is_first = ring.ages[rows] == 0
        padding = np.where(is_first, plan.burn_in, 0)
        # Ticks since each sequence's first row; negative on the padding in front.
        tick = np.arange(plan.burn_in + plan.unroll + 1)[:, None] - padding
        held = ring.moved(rows, np.clip(tick, 0, length))
        mask = ((tick >= 0) & (tick < length))[:-1]
        rewards = self._rewards.take(held)
        shaped = shaped_rewards(rewards[:-1], plan.reward_scale, plan.reward_clip)
        actions = ring.actions(held)
        starts = (tick == 0) & is_first
        return SequenceSample(
            rows=rows,
            births=births,
            observations=ring.observations(held),
            actions=actions[:-1],
            rewards=np.where(mask, shaped, np.float32(0)),
            terminated=self._terminated.take(held[:-1]) & mask,
            mask=mask,
            starts=starts,
            previous_actions=self._previous(actions, self._previous_actions, rows, tick, length),
            previous_rewards=self._previous(rewards, self._previous_rewards, rows, tick, length),
            state={path: self._carried(values, rows) for path, values in self._state.items()},
            weights=weights,
            action_masks=ring.masks(held),
        )

    def _keep_carry(self, block: int, carry: Arrays) -> None:
        for path, values in self._state.items():
            values[block] = carry[carried_state(path)]
        self._previous_actions[block] = carry.get(self._previous_action_name, 0)
        self._previous_rewards[block] = carry.get(PREVIOUS_REWARD, 0)

    def _learn_errors(self, table: Array, complete: Complete) -> None:
        self._errors[table] = np.nan
        self._errors[complete.rows] = complete.errors

    def _keep(self, done: Begun, is_cut: bool = False) -> Ready:
        """The complete sequences that become items."""
        is_held = self._ring.is_held(done.rows, done.births)
        is_trained = done.paddings + done.lengths > self._plan.burn_in
        is_lost = ~is_held | (~is_trained & is_cut)
        self.unfinished += int(np.count_nonzero(is_lost))
        done = Begun(*(column[is_held & is_trained] for column in done))
        self._lengths[done.rows] = done.lengths
        return Ready(done.rows, self._mixed_errors(done))

    def _mixed_errors(self, done: Begun) -> Array:
        """``[N]`` η·max|δ| + (1−η)·mean|δ| over trained ticks whose |δ| is known."""
        plan = self._plan
        tick = np.arange(plan.burn_in + plan.unroll)[:, None]
        rows = self._ring.moved(done.rows, np.minimum(tick, done.lengths - 1))
        errors = self._errors.take(rows).astype(np.float64)
        is_trained = (tick >= plan.burn_in - done.paddings) & (tick < done.lengths)
        is_known = is_trained & ~np.isnan(errors)
        errors = np.where(is_known, errors, 0.0)
        count = is_known.sum(axis=0)
        mean = errors.sum(axis=0) / np.maximum(count, 1)
        share = plan.max_priority_weight
        mixed = share * errors.max(axis=0, initial=0.0) + (1 - share) * mean
        return np.where(count > 0, mixed, np.nan)

    def _previous(
        self, values: Array, carried: Array, rows: Array, tick: Array, length: Array
    ) -> Array:
        """``[L+1, N, …]`` values of the tick before each row; 0 before an episode's first."""
        previous = np.zeros_like(values)
        is_known = (tick >= 1) & (tick <= length)
        previous[1:][is_known[1:]] = values[:-1][is_known[1:]]
        previous[0] = self._carried(carried, rows)
        return previous

    def _carried(self, values: Array, rows: Array) -> Array:
        """``[N, …]`` values carried into the batch of each row; 0 where an episode begins."""
        ring = self._ring
        block = rows // ring.block_rows
        found: Array = values[block, rows % ring.block_rows // ring.ticks]
        found[ring.ages[rows] == 0] = 0
        return found
