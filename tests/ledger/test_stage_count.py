import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyqueue.ledger.stage_count import MOST_AHEAD, MOST_GAPS, Settled, StageCount


def settled(*order: int) -> StageCount:
    stage = StageCount("s")
    for n in order:
        stage.settle(n)
        stage.accepted += 1
    return stage


def test_batches_in_order_leave_no_gap():
    stage = settled(0, 1, 2)
    assert (stage.next_n, stage.gaps, stage.missing, stage.unbalanced) == (3, [], 0, 0)


def test_a_batch_ahead_of_its_turn_opens_a_gap():
    stage = settled(0, 5)
    assert (stage.next_n, stage.gaps, stage.missing) == (6, [(1, 4)], 4)


@pytest.mark.parametrize(
    ("late", "gaps"),
    [(1, [(2, 4)]), (4, [(1, 3)]), (2, [(1, 1), (3, 4)])],
)
def test_a_late_batch_shrinks_or_splits_its_gap(late, gaps):
    stage = settled(0, 5, late)
    assert (stage.gaps, stage.missing, stage.unbalanced) == (gaps, 3, 0)


def test_the_last_late_batch_closes_the_gap():
    stage = settled(2, 0, 1)
    assert (stage.gaps, stage.missing, stage.next_n) == ([], 0, 3)


def test_what_is_settled_already_is_not_settled_again():
    stage = settled(0, 5)
    assert stage.settle(0) == stage.settle(5) == Settled(0)
    assert (stage.gaps, stage.missing, stage.unbalanced) == ([(1, 4)], 4, 0)


def test_a_range_settles_what_has_no_fate_and_tells_how_much_it_was():
    stage = settled(0, 3, 7)
    # 1, 2 and 5, 6 of the gaps 1 … 2 and 4 … 6; and 8, 9 beyond.
    assert stage.settle(1, 2) == Settled(2)
    assert stage.settle(5, 9) == Settled(4)
    stage.dropped += 6
    assert (stage.gaps, stage.missing, stage.next_n) == ([(4, 4)], 1, 10)
    assert stage.unbalanced == 0


def test_a_far_n_makes_few_batches_missing_and_skips_the_rest():
    stage = settled(0, 10**17)
    assert stage.gaps == [(10**17 - MOST_AHEAD, 10**17 - 1)]
    assert (stage.missing, stage.unbalanced) == (MOST_AHEAD, 0)
    assert stage.is_settled(5)
    assert stage.is_settled(10**17)
    assert not stage.is_settled(10**17 - 1)


def test_scattered_batches_leave_few_gaps_and_all_that_is_missing_is_counted():
    stage = settled(*range(0, 1000, 2))
    assert len(stage.gaps) == MOST_GAPS
    assert (stage.missing, stage.closed) == (499, 499 - MOST_GAPS)
    # A late one of the newest finds its place, one of the oldest does not.
    assert stage.settle(997) == Settled(1)
    assert stage.settle(1) == Settled(0)


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 6), st.integers(0, 5)), max_size=40),
)
def test_ranges_settle_exactly_what_single_batches_do(ranges):
    whole, single = StageCount("s"), StageCount("s")
    for first, more, most_missed in ranges:
        settled_now = whole.settle(first, first + more, most_missed)
        missed = 0
        batches = 0
        for n in range(first, first + more + 1):
            one = single.settle(n, n, most_missed - missed)
            missed += one.missed
            batches += one.batches
        assert settled_now == Settled(batches, missed)
        whole.accepted = single.accepted = whole.accepted + batches
        assert whole.unbalanced == 0
        assert len(whole.gaps) <= MOST_GAPS
        assert whole.missing == whole.closed + sum(b - a + 1 for a, b in whole.gaps)
        if not whole.closed and not single.closed:
            assert whole == single


def test_a_copy_can_change_without_its_original():
    stage = settled(3)
    stage.copy().settle(1)
    assert stage.gaps == [(0, 2)]
