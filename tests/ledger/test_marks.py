from tinyqueue.ledger.marks import Count


def test_a_count_that_does_not_balance_says_so():
    assert Count(attempted=3, accepted=1, missing=1).document()["unbalanced"] == 1
