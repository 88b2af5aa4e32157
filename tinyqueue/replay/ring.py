"""Storage of frames: a ring of blocks, one session batch each, every frame stored once."""

from __future__ import annotations

import math

import numpy as np

from tinyqueue.data.masks import ACTION_MASK
from tinyqueue.data.names import EPISODE_STEPS
from tinyqueue.data.session import SessionBatch
from tinyqueue.data.spaces import Array, Arrays, Space

MAX_STACK = 256
"""Most frames in a stack, since ages are counted up to 255."""

NONE = -1
"""No block."""


class Ring:
    """Rows of T ticks × B slots per block, slot-major: row = block·T·B + slot·T + tick.

    A slot's rows continue in the block given by ``next_block``. Row T of a batch is not stored:
    it is row 0 of the next block, or of a closing block before a gap. The arrays are
    reserved at once and take up memory only as they are written.

    Args:
        observations, actions: Spaces of single frames and of the single action leaf.
        blocks: Session batches held.
        ticks, slots: T and B.
        stack: k, frames per observation; 1 leaves observations unstacked.
        mask_size: n of the action masks that batches hold; 0 if they hold none.
    """

    def __init__(
        self,
        observations: Space,
        actions: Space,
        *,
        blocks: int,
        ticks: int,
        slots: int,
        stack: int,
        mask_size: int = 0,
    ) -> None:
        self.blocks, self.ticks, self.slots, self.stack = blocks, ticks, slots, stack
        self.block_rows = ticks * slots
        self.rows = blocks * self.block_rows
        ((self.action_path, action),) = actions.items()
        self._frames: Arrays = {
            path: np.empty((self.rows, *leaf.shape), leaf.dtype)
            for path, leaf in observations.items()
        }
        self._actions = np.empty((self.rows, *action.shape), action.dtype)
        self._masks = np.empty((self.rows, mask_size), bool) if mask_size else None
        self.ages = np.empty(self.rows, np.uint8)
        """``[rows]`` ticks since the first row of a row's episode, at most 255."""
        self.previous_block = np.full(blocks, NONE, np.int64)
        self.next_block = np.full(blocks, NONE, np.int64)
        self._serials = np.zeros(blocks, np.int64)
        self._opened = 0

    @property
    def place(self) -> int:
        """The block to be written next; its old content must have been released."""
        return self._opened % self.blocks

    @property
    def is_full(self) -> bool:
        """Whether ``place`` already holds a batch."""
        return self._opened >= self.blocks

    def first_row(self, block: int) -> int:
        """Index of a block's first row: slot 0, tick 0."""
        return block * self.block_rows

    def block_table(self, block: int) -> Array:
        """``[T, B]`` int64 rows of a block, time-major."""
        rows = np.arange(self.block_rows).reshape(self.slots, self.ticks).T
        return rows + self.first_row(block)

    def births(self, rows: Array) -> Array:
        """The generation of each row: a row never gets the same number twice."""
        return self._serials.take(rows // self.block_rows)

    def is_held(self, rows: Array, births: Array) -> Array:
        """Whether rows still have the generation ``births``, so were not overwritten."""
        return np.equal(self.births(rows), births)

    def disown(self, block: int) -> None:
        """Gives a block's rows a generation that none had: what began there never completes."""
        self._serials[block] = -abs(self._serials[block])

    def release(self, block: int) -> None:
        """Unlinks a block from the next one; its frames can no longer be reached."""
        following = self.next_block[block]
        if following != NONE:
            self.previous_block[following] = NONE

    def write(self, previous: int, batch: SessionBatch) -> int:
        """Writes a batch to the next block, links that after ``previous``, and returns it."""
        block = self._open(previous)
        here = slice(self.first_row(block), self.first_row(block) + self.block_rows)
        shape = (self.slots, self.ticks)
        for path, frames in self._frames.items():
            rows = batch.observations[path][: self.ticks].swapaxes(0, 1)
            frames[here].reshape(rows.shape)[...] = rows
        actions = batch.actions[self.action_path].swapaxes(0, 1)
        self._actions[here].reshape(actions.shape)[...] = actions
        if self._masks is not None:
            masks = batch.extras[ACTION_MASK][: self.ticks].swapaxes(0, 1)
            self._masks[here].reshape(masks.shape)[...] = masks
        self.ages[here].reshape(shape)[...] = self._ages(previous, batch).T
        return block

    def write_final(self, previous: int, final: Arrays, mask: Array | None = None) -> int:
        """Writes a closing block: row T of ``previous``, with nothing after it. Returns it.

        Args:
            previous: The block that it follows.
            final: path → ``[B, *obs]``.
            mask: ``[B, n]`` bool, if the ring holds masks.
        """
        block = self._open(previous)
        rows = self.block_table(block)[0]
        for path, frames in self._frames.items():
            frames[rows] = final[path]
        if self._masks is not None:
            self._masks[rows] = mask
        last = self.block_table(previous)[-1]
        self.ages[rows] = np.minimum(self.ages[last], MAX_STACK - 2) + 1
        return block

    def moved(self, rows: Array, ticks: Array) -> Array:
        """Rows that are ``ticks`` later (or earlier, if negative) in the same slot.

        Links between blocks are followed; the rows must be held.
        """
        tick = rows % self.ticks + ticks
        if not ((tick < 0) | (tick >= self.ticks)).any():
            return rows + ticks
        block = rows // self.block_rows
        slot = rows % self.block_rows - rows % self.ticks
        block, tick = np.broadcast_arrays(block, tick)
        block, tick = block.copy(), tick.copy()
        for links, step in ((self.previous_block, self.ticks), (self.next_block, -self.ticks)):
            while (away := (tick < 0) if step > 0 else (tick >= self.ticks)).any():
                block[away] = links[block[away]]
                tick[away] += step
        moved: Array = block * self.block_rows + slot + tick
        return moved

    def has_stack(self, rows: Array) -> Array:
        """Whether every frame of a row's stack is held."""
        block = rows // self.block_rows
        lacking = np.minimum(self.ages[rows], self.stack - 1) - rows % self.ticks
        while (goes_back := (lacking > 0) & (block != NONE)).any():
            block = np.where(goes_back, self.previous_block[block], block)
            lacking = lacking - self.ticks
        is_whole: Array = block != NONE
        return is_whole

    def reaching_before(self, block: int) -> Array:
        """Rows whose stack reaches back before the first tick of ``block``."""
        found = [np.empty(0, np.int64)]
        tick = np.arange(self.ticks)[:, None]
        while block != NONE and tick[0, 0] < self.stack - 1:
            rows = self.block_table(block)
            found.append(rows[np.minimum(self.ages[rows], self.stack - 1) > tick])
            block, tick = int(self.next_block[block]), tick + self.ticks
        return np.concatenate(found)

    def reaching_after(self, block: int, ticks: int) -> Array:
        """Rows before ``block`` that are at most ``ticks`` before its first tick, in every slot."""
        found = [np.empty(0, np.int64)]
        earlier = int(self.previous_block[block])
        while earlier != NONE and ticks > 0:
            found.append(self.block_table(earlier)[-ticks:].ravel())
            earlier, ticks = int(self.previous_block[earlier]), ticks - self.ticks
        return np.concatenate(found)

    def observations(self, rows: Array) -> Arrays:
        """Path → ``[…, *obs]`` of rows, or ``[…, k, *obs]`` with stacks, oldest first.

        At the start of an episode its first frame is repeated.
        """
        if self.stack > 1:
            back = np.minimum(self.ages[rows][..., None], np.arange(self.stack - 1, -1, -1))
            rows = self.moved(rows[..., None], -back.astype(np.int64))
        return {path: frames.take(rows, axis=0) for path, frames in self._frames.items()}

    def actions(self, rows: Array) -> Array:
        """``[…, *act]``, the actions of rows."""
        return self._actions.take(rows, axis=0)

    def masks(self, rows: Array) -> Array | None:
        """``[…, n]`` bool, the valid actions in the states of rows; None if none are held."""
        return None if self._masks is None else self._masks.take(rows, axis=0)

    def _open(self, previous: int) -> int:
        block = self.place
        self._opened += 1
        self._serials[block] = self._opened
        self.previous_block[block], self.next_block[block] = previous, NONE
        if previous != NONE:
            self.next_block[previous] = block
        return block

    def _ages(self, previous: int, batch: SessionBatch) -> Array:
        """``[T, B]`` ticks since each row's episode began.

        An invalid tick 0 belongs to an episode of the previous batch.
        """
        at_start = batch.carry.get(EPISODE_STEPS, np.zeros(self.slots, np.int32))
        if previous != NONE:
            before = self.ages[self.block_table(previous)[-1]].astype(np.int64) + 1
            at_start = np.where(batch.valid[0], at_start, before)
        tick = np.arange(self.ticks)[:, None]
        begun = np.full((self.ticks, self.slots), NONE)
        np.copyto(begun[1:], tick[1:], where=~batch.valid[:-1])
        begun = np.maximum.accumulate(begun, axis=0)
        ages = np.where(begun == NONE, at_start + tick, tick - begun)
        return np.minimum(ages, MAX_STACK - 1)


def frame_bytes(space: Space) -> int:
    """Size of one row of a space, in bytes."""
    return sum(np.dtype(leaf.dtype).itemsize * math.prod(leaf.shape) for leaf in space.values())
