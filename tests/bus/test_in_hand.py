from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import pytest

from tinyqueue.bus.in_hand import CallbackError, InHand
from tinyqueue.bus.messages import Delivery
from tinyqueue.errors import DiskFullError


class Link:
    def __init__(self) -> None:
        self.acked: list[object] = []

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        self.acked.extend(delivery.tag for delivery in deliveries)


class Shelf:
    """Stands for the dead letters; takes nothing while ``closed``."""

    def __init__(self) -> None:
        self.kept: list[tuple[str, str]] = []
        self.closed = False

    def put(self, delivery: Delivery, reason: str) -> bool:
        if not self.closed:
            self.kept.append((delivery.message_id, reason))
        return not self.closed


class Desk:
    """An InHand with everything around it."""

    def __init__(self) -> None:
        self.shelf = Shelf()
        shelf: Any = self.shelf
        self.taken: list[Delivery] = []
        self.groups: list[list[tuple[str, Any]]] = []
        self.error: Exception | None = None
        self.tries = 0
        self.in_hand = InHand(shelf, self, self.settle)

    def on_delivery(self, delivery: Delivery, settle: object) -> None:
        self.taken.append(delivery)

    def settle(self, delivery: Delivery, mark: Any, set_aside: str | None = None) -> None:
        self.in_hand.settle(delivery, mark, set_aside)

    def commit(self, group: Sequence[tuple[Delivery, Any]]) -> None:
        self.tries += 1
        if self.error is not None:
            raise self.error
        self.groups.append([(delivery.message_id, mark) for delivery, mark in group])


def delivery(message_id: str, tag: int) -> Delivery:
    return Delivery(b"", {}, message_id, "x", tag=tag)


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


def test_when_commit_raises_nothing_is_acked() -> None:
    link = Link()
    desk = Desk()
    desk.error = OSError("input/output error")
    desk.in_hand.hand_over([delivery("a", 1)], link)
    desk.in_hand.settle(desk.taken[0], None, None)

    with pytest.raises(CallbackError) as caught:
        desk.in_hand.finish(link)
    assert isinstance(caught.value.error, OSError)
    assert link.acked == []


def test_while_the_disk_is_full_nothing_is_acked_and_all_is_committed_once_there_is_room(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now_s[0])
    link = Link()
    desk.in_hand.hand_over([delivery("bad", 1), delivery("b", 2), delivery("c", 3)], link)
    desk.error = DiskFullError("no room")
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
