"""Stacks against a plain walk through the episodes, one slot and one tick at a time."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tinyqueue.data.names import carried_frames
from tinyqueue.data.session import Header, SessionBatch
from tinyqueue.data.stacks import ages, stack_rows, with_frames_before

HEADER = Header("pong", "f" * 32, "e" * 32, 0, "rack", "host", 1, 2)


def played(slots: int, total: int, ends: set[tuple[int, int]]):
    """A slot-wise history of ``total`` + 1 rows: frames, valid ticks, ages, and plain stacks.

    A frame is its own number, so that it says where it comes from. ``ends``: ticks at which an
    episode ends, unless the tick is the one after an end.
    """
    frames = np.arange((total + 1) * slots, dtype=np.uint16).reshape(total + 1, slots, 1)
    valid = np.ones((total, slots), bool)
    age = np.zeros((total + 1, slots), np.int64)
    for slot in range(slots):
        for tick in range(total):
            if tick and valid[tick - 1, slot] and (tick - 1, slot) in ends:
                valid[tick, slot] = False
            age[tick + 1, slot] = age[tick, slot] + 1 if valid[tick, slot] else 0
    return frames, valid, age


def plain_stack(frames: np.ndarray, age: np.ndarray, row: int, slot: int, k: int) -> list[int]:
    first = row - age[row, slot]
    return [int(frames[max(first, row - back), slot, 0]) for back in range(k - 1, -1, -1)]


@st.composite
def histories(draw):
    slots, ticks = draw(st.integers(1, 3)), draw(st.integers(1, 6))
    before, k = draw(st.integers(0, 9)), draw(st.integers(2, 5))
    total = before + ticks
    places = st.tuples(st.integers(0, total - 1), st.integers(0, slots - 1))
    return slots, ticks, before, k, draw(st.sets(places, max_size=8))


def batch_of(history) -> tuple[SessionBatch, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """The last T ticks of a history as the batch that a player sends."""
    slots, ticks, before, k, ends = history
    frames, valid, age = played(slots, before + ticks, ends)
    steps = age[before].copy()
    steps[~valid[before]] = 0  # as the stage says at an invalid tick 0
    carried = np.zeros((slots, k - 1, 1), np.uint16)
    for back in range(1, k):
        if before - back >= 0:
            carried[:, k - 1 - back] = frames[before - back]
    nothing = np.zeros((ticks, slots), bool)
    batch = SessionBatch(
        HEADER,
        {"eye": frames[before:]},
        {"": np.zeros((ticks, slots), np.uint8)},
        np.zeros((ticks, slots), np.float32),
        nothing,
        nothing,
        valid[before:],
        carry={"episode_steps": steps.astype(np.int32), carried_frames("eye"): carried},
    )
    return batch, (frames, age, valid)


@given(histories())
def test_every_stack_is_what_a_walk_through_the_episode_gives(history):
    _, ticks, before, k, _ = history
    batch, (frames, age, valid) = batch_of(history)

    source = with_frames_before(batch, "eye")
    rows = stack_rows(batch, k)
    assert rows.shape == (ticks + 1, batch.slots, k)
    for slot in range(batch.slots):
        stacks = source[rows[:, slot], slot, 0]
        for tick in range(ticks + 1):
            if tick == 0 and not valid[before, slot]:
                continue  # the last row of an episode that is over: nothing is learned from it
            expected = plain_stack(frames, age, before + tick, slot, k)
            assert stacks[tick].tolist() == expected


@given(histories())
def test_ages_count_from_the_episode_s_first_row(history):
    _, _, before, _, _ = history
    batch, (_, age, valid) = batch_of(history)
    known = np.ones(age[before:].shape, bool)
    known[0] = valid[before]
    np.testing.assert_array_equal(ages(batch)[known], age[before:][known])


def test_a_reset_repeats_the_first_frame_and_never_looks_into_the_episode_before():
    # Given an episode that ends at tick 1, so that tick 2 leads to the next one's first row
    batch, _ = batch_of((1, 5, 3, 4, {(4, 0)}))
    assert batch.valid[:, 0].tolist() == [True, True, False, True, True]

    stacks = with_frames_before(batch, "eye")[stack_rows(batch, 4)[:, 0], 0, 0]

    # Then rows of frames 3 … 8 are stacked like this
    assert stacks.tolist() == [
        [0, 1, 2, 3],
        [1, 2, 3, 4],
        [2, 3, 4, 5],  # the final observation still belongs to its episode
        [6, 6, 6, 6],
        [6, 6, 6, 7],
        [6, 6, 7, 8],
    ]
