"""Last values and means of numbers over episodes, across batches."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tinyqueue.data.info_values import InfoAccumulator

NONE = math.nan


def one_slot(*values: float) -> np.ndarray:
    return np.array(values, np.float64).reshape(-1, 1, 1)


def flags(*ticks: int, of: int) -> np.ndarray:
    marked = np.zeros((of, 1), bool)
    marked[list(ticks)] = True
    return marked


def test_an_episode_has_its_last_value_and_the_mean_over_its_steps() -> None:
    # Given two episodes of 3 and 2 steps, with an autoreset tick between them
    values = one_slot(1, 2, 6, 99, 10, 20)
    ended, valid = flags(2, 5, of=6), ~flags(3, of=6)

    last, mean = InfoAccumulator(1, 1).add(values, ended, valid)

    assert last[:, 0].tolist() == [6.0, 20.0]
    assert mean[:, 0].tolist() == [3.0, 15.0]
    assert last.dtype == mean.dtype == np.float32


def test_an_episode_goes_on_in_the_next_batch() -> None:
    accumulator = InfoAccumulator(1, 1)
    none, one = flags(of=2), flags(1, of=2)

    first, _ = accumulator.add(one_slot(1, 2), none, ~none)
    last, mean = accumulator.add(one_slot(3, NONE), one, ~none)

    assert first.shape == (0, 1)
    assert (last.item(), mean.item()) == (3.0, 2.0)


def test_steps_without_a_number_count_for_nothing_and_an_episode_without_any_has_none() -> None:
    ended, valid = flags(1, 4, of=5), ~flags(2, of=5)

    last, mean = InfoAccumulator(1, 1).add(one_slot(5, NONE, 1, NONE, NONE), ended, valid)

    assert (last[0, 0], mean[0, 0]) == (5.0, 5.0)
    assert np.isnan(last[1]).all()
    assert np.isnan(mean[1]).all()


def test_a_huge_number_does_not_spoil_the_mean_of_the_next_episode() -> None:
    ended, valid = flags(0, 2, of=3), ~flags(1, of=3)

    _, mean = InfoAccumulator(1, 1).add(one_slot(1e30, 0, 1.5), ended, valid)

    assert mean[1, 0] == 1.5


@given(st.data())
def test_batches_of_any_length_give_what_the_whole_stream_gives(data: st.DataObject) -> None:
    ticks, slots, keys = data.draw(st.tuples(*[st.integers(1, n) for n in (12, 3, 2)]))
    numbers = st.one_of(st.just(NONE), st.integers(-9, 9).map(float))
    shape = (ticks, slots, keys)
    values = np.array(
        data.draw(st.lists(numbers, min_size=math.prod(shape), max_size=math.prod(shape)))
    ).reshape(shape)
    ended, valid = np.zeros((2, ticks, slots), bool)
    valid[:] = True
    for slot in range(slots):
        for tick in range(ticks):
            valid[tick, slot] = not (tick and ended[tick - 1, slot])
            ended[tick, slot] = valid[tick, slot] and data.draw(st.booleans())
    cut = data.draw(st.integers(0, ticks))

    accumulator = InfoAccumulator(slots, keys)
    parts = [
        accumulator.add(values[part], ended[part], valid[part])
        for part in (slice(0, cut), slice(cut, ticks))
    ]

    expected_last, expected_mean = [], []
    began = [0] * slots
    for tick in range(ticks):
        for slot in range(slots):
            if ended[tick, slot]:
                seen = [
                    [
                        values[t, slot, key]
                        for t in range(began[slot], tick + 1)
                        if valid[t, slot] and not math.isnan(values[t, slot, key])
                    ]
                    for key in range(keys)
                ]
                expected_last.append([column[-1] if column else NONE for column in seen])
                expected_mean.append([np.mean(column) if column else NONE for column in seen])
                began[slot] = tick + 1
    for place, expected in enumerate((expected_last, expected_mean)):
        found = np.concatenate([part[place] for part in parts])
        assert np.allclose(found, np.array(expected).reshape(found.shape), equal_nan=True)
