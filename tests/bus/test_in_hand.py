from __future__ import annotations

import time

import pytest
from in_hand_desk import Desk, Link, delivery

from tinyqueue.bus.messages import Delivery
from tinyqueue.errors import (
    DiskFullError,
    LeaseNotRenewedError,
    NotNowError,
    ServiceUnreachableError,
)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_what_is_settled_together_is_committed_once_then_acked(desk: Desk) -> None:
    link = Link()
    desk.in_hand.hand_over([delivery("a", 1), delivery("b", 2), delivery("c", 3)], link)
    for taken in desk.taken[:2]:
        desk.in_hand.settle(taken, f"mark {taken.message_id}", None)

    desk.in_hand.finish(link)

    assert desk.groups == [[("a", "mark a"), ("b", "mark b")]]
    assert link.acked == [1, 2]


def test_with_nothing_settled_nothing_is_committed(desk: Desk) -> None:
    desk.in_hand.finish(Link())

    assert desk.groups == []


@pytest.mark.parametrize("kind", [DiskFullError, LeaseNotRenewedError, ServiceUnreachableError])
def test_while_nothing_can_be_recorded_nothing_is_acked_and_then_all_is_committed(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, kind: type[NotNowError]
) -> None:
    now_s = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now_s[0])
    link = Link()
    desk.in_hand.hand_over([delivery("bad", 1), delivery("b", 2), delivery("c", 3)], link)
    desk.error = kind("not now")
    desk.in_hand.settle(desk.taken[0], "mark bad", "shape")
    desk.in_hand.settle(desk.taken[1], "mark b", None)
    for _ in range(5):
        desk.in_hand.finish(link)
    assert (desk.tries, link.acked) == (1, [])

    # One that comes again meanwhile is still in hand.
    desk.in_hand.hand_over([delivery("b", 4)], Link())
    assert len(desk.taken) == 3

    now_s[0] += 1.0
    desk.in_hand.finish(link)
    assert desk.tries == 2

    desk.error = None
    desk.in_hand.settle(desk.taken[2], "mark c", None)
    desk.in_hand.finish(link)
    assert desk.groups == []
    now_s[0] += 1.0
    desk.in_hand.finish(link)
    assert desk.groups == [[("bad", "mark bad"), ("b", "mark b"), ("c", "mark c")]]
    assert desk.shelf.kept == [("bad", "shape")]
    assert link.acked == [1, 3]


def test_a_redelivery_on_a_new_link_lends_its_ack_to_the_one_in_hand(desk: Desk) -> None:
    old, new = Link(), Link()
    desk.in_hand.hand_over([delivery("a", 7)], old)
    desk.in_hand.hand_over([delivery("a", 1)], new)
    assert len(desk.taken) == 1

    desk.in_hand.settle(desk.taken[0], None, None)
    desk.in_hand.finish(new)

    assert (old.acked, new.acked) == ([], [1])


def test_a_second_copy_on_the_same_link_is_acked_at_once(desk: Desk) -> None:
    link = Link()
    desk.in_hand.hand_over([delivery("a", 1), delivery("a", 2)], link)

    assert len(desk.taken) == 1
    assert link.acked == [2]
    assert desk.in_hand.duplicates == 1


def test_messages_without_an_id_are_never_taken_for_one_another(desk: Desk) -> None:
    desk.in_hand.hand_over([delivery("", 1), delivery("", 2)], Link())

    assert len(desk.taken) == 2


def test_what_a_lost_link_delivered_is_committed_and_not_acked(desk: Desk) -> None:
    old, new = Link(), Link()
    desk.in_hand.hand_over([delivery("a", 7)], old)
    desk.in_hand.settle(desk.taken[0], "mark", None)

    desk.in_hand.finish(new)

    assert desk.groups == [[("a", "mark")]]
    assert (old.acked, new.acked) == ([], [])
    # It comes again, and is known by its id to whoever takes it.
    desk.in_hand.hand_over([delivery("a", 1)], new)
    assert len(desk.taken) == 2


def test_without_a_link_settling_still_commits(desk: Desk) -> None:
    desk.in_hand.hand_over([delivery("a", 7)], Link())
    desk.in_hand.settle(desk.taken[0], "mark", None)

    desk.in_hand.finish(None)

    assert desk.groups == [[("a", "mark")]]


def test_what_cannot_be_set_aside_waits_and_holds_up_nothing_else(desk: Desk) -> None:
    link = Link()
    desk.in_hand.hand_over([delivery("bad", 1), delivery("good", 2)], link)
    desk.shelf.closed = True
    desk.in_hand.settle(desk.taken[0], "bad mark", "shape")
    desk.in_hand.settle(desk.taken[1], "good mark", None)

    desk.in_hand.finish(link)
    assert desk.groups == [[("good", "good mark")]]
    assert link.acked == [2]

    desk.shelf.closed = False
    desk.in_hand.finish(link)
    assert desk.shelf.kept == [("bad", "shape")]
    assert desk.groups[1:] == [[("bad", "bad mark")]]
    assert link.acked == [2, 1]


def test_settling_twice_acks_once(desk: Desk) -> None:
    link = Link()
    desk.in_hand.hand_over([delivery("a", 1)], link)
    for _ in range(2):
        desk.in_hand.settle(desk.taken[0], None, None)
        desk.in_hand.finish(link)

    assert link.acked == [1]


def test_what_its_sender_lets_expire_is_set_aside_unread(desk: Desk) -> None:
    link = Link()
    expiring = Delivery(b"", {}, "a", "x", tag=1, expires=True)
    desk.in_hand.hand_over([expiring, delivery("b", 2)], link)
    desk.in_hand.finish(link)

    assert [taken.message_id for taken in desk.taken] == ["b"]
    assert desk.shelf.kept == [("a", "expiration")]
    assert link.acked == [1]


def test_nobody_takes_the_place_of_anothers_message(desk: Desk) -> None:
    link = Link()
    false, real = delivery("a", 1), delivery("a", 2)
    false.login, real.login = "mallory", "ann"

    desk.in_hand.hand_over([false, real], link)

    assert desk.taken == [false, real]
    assert (desk.in_hand.duplicates, link.acked) == (0, [])


def test_while_the_broker_is_away_nothing_is_set_aside(desk: Desk) -> None:
    desk.in_hand.hand_over([delivery("bad", 1)], Link())
    desk.in_hand.settle(desk.taken[0], "mark", "shape")

    desk.in_hand.finish(None)
    assert desk.shelf.kept == []

    desk.in_hand.finish(Link())
    assert desk.shelf.kept == [("bad", "shape")]
