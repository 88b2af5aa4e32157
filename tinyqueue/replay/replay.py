"""The replay: session batches go in, samples come out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyqueue.data.masks import ACTION_MASK
from tinyqueue.data.session import SessionBatch
from tinyqueue.data.spaces import Array, Arrays, Space
from tinyqueue.errors import ConfigError
from tinyqueue.replay.items import Items, Ready
from tinyqueue.replay.plan import ReplayPlan
from tinyqueue.replay.ring import MAX_STACK, NONE, Ring, frame_bytes
from tinyqueue.replay.samplers import PrioritisedSampler, Sampler, UniformSampler
from tinyqueue.replay.samples import SequenceSample, TransitionSample
from tinyqueue.replay.sequences import Sequences
from tinyqueue.replay.transitions import Transitions

_ROW_BYTES = 48
"""What is kept per row besides the frames: returns or rewards, links, ages, the sum tree."""


@dataclass(frozen=True)
class Withdrawn:
    """A session batch that was taken out of the replay.

    Attributes:
        number: Its number in the session log.
        user, player: Who played it, as its header says.
    """

    number: int
    user: str
    player: str


@dataclass
class _Stage:
    """A stage whose newest batch is held.

    Attributes:
        next_n: Number of the batch that continues it.
        block: Its newest block.
        final: path → ``[B, *obs]``, the newest batch's bootstrap row.
        final_mask: ``[B, n]`` bool, the action masks of that row, if there are any.
        track: The adder's state for this stage.
    """

    next_n: int
    block: int
    final: Arrays
    final_mask: Array | None
    track: Any


class Replay:
    """Experience in memory; the oldest batch is evicted first. Not thread-safe.

    The same batches in the same order and the same generator give the same samples, bit for
    bit.

    Args:
        plan: What the algorithm requires.
        observations, actions: Spaces of the session batches.
        state: Recurrent state: path → shape of one slot. Only sequences keep it.
        ticks, slots: T and B of every batch.
        capacity_steps: Most rows to hold; whole batches are kept and evicted.
        capacity_bytes: Most memory to use; the smaller of the two bounds applies.
        stack: Frames per observation.
        mask_size: n of the action masks ``[T+1, B, n]`` in every batch's extras; 0 without masks.

    Raises:
        ConfigError: The capacity is less than two batches, or the stack is too high.
    """

    def __init__(  # noqa: PLR0913  # spaces and sizes, most of them by name
        self,
        plan: ReplayPlan,
        observations: Space,
        actions: Space,
        state: Mapping[str, tuple[int, ...]],
        *,
        ticks: int,
        slots: int,
        capacity_steps: int,
        capacity_bytes: int,
        stack: int = 1,
        mask_size: int = 0,
    ) -> None:
        row_bytes: float = frame_bytes(observations) + frame_bytes(actions) + _ROW_BYTES
        row_bytes += mask_size
        if plan.is_sequence:
            row_bytes += sum(4 * math.prod(shape) for shape in state.values()) / ticks
        rows = min(capacity_steps, int(capacity_bytes / row_bytes))
        blocks = rows // (ticks * slots)
        _check(blocks, stack, f"{capacity_steps} steps or {capacity_bytes} bytes", ticks, slots)
        self._plan = plan
        self._ring = Ring(
            observations,
            actions,
            blocks=blocks,
            ticks=ticks,
            slots=slots,
            stack=stack,
            mask_size=mask_size,
        )
        self._has_masks = mask_size > 0
        self._items: Items = (
            Sequences(plan, self._ring, state)
            if plan.is_sequence
            else Transitions(plan, self._ring)
        )
        self._sampler: Sampler = (
            PrioritisedSampler(self._ring.rows, plan.prioritisation)
            if plan.prioritisation
            else UniformSampler(self._ring.rows)
        )
        self._stages: dict[str, _Stage] = {}
        self._stage_of = [""] * blocks
        self._played_by = [("", "")] * blocks
        self._numbers = np.full(blocks, NONE, np.int64)
        self._env_steps = np.zeros(blocks, np.int64)
        self._stale_priorities = 0
        self._gaps = 0

    @property
    def size(self) -> int:
        """Items that can be drawn."""
        return self._sampler.size

    @property
    def env_steps(self) -> int:
        """Valid ticks held."""
        return int(self._env_steps.sum())

    @property
    def capacity(self) -> int:
        """Rows that it can hold: whole batches within both bounds."""
        return self._ring.rows

    @property
    def oldest_number(self) -> int:
        """Smallest session log number still held; smaller ones are no longer needed. 0 if empty."""
        return int(self._numbers.min(initial=self.newest_number, where=self._numbers != NONE))

    @property
    def newest_number(self) -> int:
        """Largest session log number held; 0 if empty."""
        return int(self._numbers.max(initial=0))

    @property
    def dropped(self) -> dict[str, int]:
        """Counts since the start.

        ``stale_priorities`` of items evicted before they were written back,
        ``unfinished_sequences``, and ``gaps`` in stages' batches, which cut items short.
        """
        return {
            "stale_priorities": self._stale_priorities,
            "unfinished_sequences": self._items.unfinished,
            "gaps": self._gaps,
        }

    def add(self, number: int, batch: SessionBatch) -> None:
        """Takes in one accepted batch; its arrays are copied.

        Args:
            number: Its number in the session log, at least 0 and larger than any before.
            batch: T ticks of B slots, already checked.
        """
        name, n = batch.header.stage, batch.header.n
        stage = self._stages.get(name)
        if stage is not None and stage.next_n != n:
            self._close(name, stage)
        self._make_room()
        stage = self._stages.get(name)
        track = self._items.track() if stage is None else stage.track
        block = self._ring.write(NONE if stage is None else stage.block, batch)
        self._numbers[block], self._env_steps[block] = number, batch.env_steps
        self._stage_of[block] = name
        self._played_by[block] = (batch.header.user, batch.header.player)
        final = {path: rows[-1].copy() for path, rows in batch.observations.items()}
        final_mask = batch.extras[ACTION_MASK][-1].copy() if self._has_masks else None
        self._stages[name] = _Stage(n + 1, block, final, final_mask, track)
        self._admit(self._items.add(track, block, batch))

    def sample(self, rng: np.random.Generator, updates: int) -> TransitionSample | SequenceSample:
        """One batch of items, drawn with replacement.

        Args:
            rng: The generator for every draw.
            updates: Optimiser steps so far, the clock of β.

        Raises:
            ValueError: ``size`` is 0.
        """
        if not self.size:
            raise ValueError("the replay has no items yet; check `size` before sampling.")
        rows, weights = self._sampler.draw(rng, self._plan.batch_size, updates)
        return self._items.gather(rows, self._ring.births(rows), weights)

    def items(self) -> tuple[Array, Array]:
        """``[K]`` int64 rows and births of all items that can be drawn, in the order of storage."""
        rows = np.flatnonzero(self._sampler.is_live(np.arange(self._ring.rows)))
        return rows, self._ring.births(rows)

    def gather(self, rows: Array) -> TransitionSample | SequenceSample:
        """A sample of ``[N]`` chosen items, all of weight 1, for those who do not draw.

        Args:
            rows: Of :meth:`items`, held still (:meth:`holds`).
        """
        weights = np.ones(len(rows), np.float32)
        return self._items.gather(rows, self._ring.births(rows), weights)

    def update_priorities(self, rows: Array, births: Array, priorities: Array) -> None:
        """Writes back ``[N]`` |δ| of sampled items; those evicted since are skipped and counted."""
        is_live = self.holds(rows, births)
        self._stale_priorities += len(rows) - int(np.count_nonzero(is_live))
        self._sampler.update(rows[is_live], priorities[is_live])

    def holds(self, rows: Array, births: Array) -> Array:
        """``[N]`` bool, whether items are still those that were sampled, with all that they read.

        An item's own row may stay where a batch that it reads has gone.
        """
        return self._ring.is_held(rows, births) & self._sampler.is_live(rows)

    def withdraw(self, rows: Array, births: Array) -> list[Withdrawn]:
        """Takes out every session batch that ``[N]`` sampled items read, with all items in reach.

        Their stages go on as after a gap. Items that have gone since are left out.
        """
        live = np.unique(rows[self.holds(rows, births)])
        size = self._ring.block_rows
        read: set[int] = set()
        for first, last in zip(live // size, self._items.last_rows(live) // size, strict=True):
            block = int(first)
            # A sequence may span more than two batches.
            while block not in (NONE, int(last)):
                read.add(block)
                block = int(self._ring.next_block[block])
            read.add(int(last))
        found = [block for block in sorted(read) if self._numbers[block] != NONE]
        taken_out = [Withdrawn(int(self._numbers[b]), *self._played_by[b]) for b in found]
        self._sampler.discard(live)
        for block in found:
            self._sampler.discard(self._ring.reaching_after(block, self._plan.reach))
            self._empty(block)
            self._ring.disown(block)
        return taken_out

    def snapshot(self) -> Arrays:
        """Priorities for a checkpoint; empty without prioritisation, or if nothing is held.

        ``numbers`` ``[K]`` int64 log numbers held, ``priorities`` ``[K, T·B]`` float64 p^α of
        their rows (0 where there is no item), and ``largest``.
        """
        order = np.argsort(self._numbers)
        blocks = order[self._numbers[order] != NONE]
        if not len(blocks):
            return {}
        kept = self._sampler.snapshot(blocks, self._ring.block_rows)
        return {"numbers": self._numbers[blocks], **kept} if kept else {}

    def restore_priorities(self, arrays: Arrays) -> None:
        """Restores the priorities of :meth:`snapshot`, once the same batches are held again.

        Items that are not in the snapshot keep their initial priority.
        """
        if not arrays:
            return
        blocks = {int(number): block for block, number in enumerate(self._numbers)}
        first_rows = {
            place: self._ring.first_row(blocks[int(number)])
            for place, number in enumerate(arrays["numbers"])
            if int(number) in blocks
        }
        self._sampler.restore(arrays, first_rows)

    def _admit(self, ready: Ready) -> None:
        has_stack = self._ring.has_stack(ready.rows)
        self._sampler.add(ready.rows[has_stack], ready.errors[has_stack])

    def _close(self, name: str, stage: _Stage) -> None:
        """Ends a stage's track at a gap in its batches."""
        self._gaps += 1
        self._make_room()
        if self._stages.pop(name, None) is not None:
            block = self._ring.write_final(stage.block, stage.final, stage.final_mask)
            self._numbers[block], self._env_steps[block] = NONE, 0
            self._stage_of[block] = ""
            self._admit(self._items.close(stage.track, block))

    def _make_room(self) -> None:
        """Evicts the oldest block when the ring is full."""
        if self._ring.is_full:
            self._empty(self._ring.place)

    def _empty(self, block: int) -> None:
        """Removes a block's items, and those whose stacks reach into it."""
        ring = self._ring
        self._sampler.clear(ring.first_row(block), ring.block_rows)
        self._sampler.discard(ring.reaching_before(int(ring.next_block[block])))
        ring.release(block)
        self._numbers[block], self._env_steps[block] = NONE, 0
        stage = self._stages.get(self._stage_of[block])
        if stage is not None and stage.block == block:
            del self._stages[self._stage_of[block]]


def _check(blocks: int, stack: int, capacity: str, ticks: int, slots: int) -> None:
    if blocks < 2:
        raise ConfigError(
            f"a replay of {capacity} holds {blocks} session batches of {ticks} ticks × {slots} "
            f"slots; it needs room for at least two: raise the capacity to {2 * ticks * slots} "
            "steps or more, or make session batches smaller."
        )
    if not 1 <= stack <= MAX_STACK:
        raise ConfigError(f"a stack of {stack} frames is not possible; use 1 to {MAX_STACK}.")
