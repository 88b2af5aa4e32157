import pytest

from tinyqueue.ledger.stage_count import StageCount


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


def test_a_change_names_what_went_and_what_came():
    stage = settled(5)
    change = stage.settle(2)
    assert change.removed == (0, 4)
    assert change.added == ((0, 1), (3, 4))


@pytest.mark.parametrize("n", [0, 5, -1])
def test_what_is_settled_or_negative_cannot_be_settled(n):
    stage = settled(0, 5)
    with pytest.raises(ValueError, match="cannot be settled"):
        stage.settle(n)
    assert (stage.gaps, stage.missing) == ([(1, 4)], 4)


def test_a_far_n_costs_one_gap_and_no_memory():
    stage = settled(0, 10**17)
    assert stage.gaps == [(1, 10**17 - 1)]
    assert not stage.is_settled(5)
    assert stage.is_settled(10**17)


def test_a_copy_can_change_without_its_original():
    stage = settled(3)
    stage.copy().settle(1)
    assert stage.gaps == [(0, 2)]
