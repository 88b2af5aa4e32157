from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import pytest

from tinyqueue.bus.in_hand import CallbackError, InHand
from tinyqueue.bus.messages import Delivery
from tinyqueue.errors import (
    DiskFullError,
    LeaseLostError,
    LeaseNotRenewedError,
    MessageError,
    NotNowError,
    RunDirectoryError,
    ServiceUnreachableError,
)


class Link:
    def __init__(self) -> None:
        self.acked: list[Any] = []

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
        self.fails_on: dict[str, Exception] = {}
        self.refuses_with: Exception | None = None
        self.tries = 0
        self.in_hand = InHand(shelf, self, self.settle)

    def on_delivery(self, delivery: Delivery, settle: object) -> None:
        self.taken.append(delivery)
        self._fail(delivery, "taking")

    def refused(self, delivery: Delivery, error: MessageError) -> str:
        if self.refuses_with is not None:
            raise self.refuses_with
        return f"refused: {error.reason}"

    def settle(self, delivery: Delivery, mark: Any, set_aside: str | None = None) -> None:
        self.in_hand.settle(delivery, mark, set_aside)

    def commit(self, group: Sequence[tuple[Delivery, Any]]) -> None:
        self.tries += 1
        if self.error is not None:
            raise self.error
        for delivery, mark in group:
            self._fail(delivery, "recording" if str(mark).startswith("refused") else "committing")
        self.groups.append([(delivery.message_id, mark) for delivery, mark in group])

    def _fail(self, delivery: Delivery, when: str) -> None:
        error = self.fails_on.get(f"{when} {delivery.message_id}")
        if error is not None:
            raise error


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


def test_an_error_while_a_message_is_set_aside_loses_none_that_was_settled(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = Link()
    desk.in_hand.hand_over([delivery("a", 1), delivery("bad", 2), delivery("b", 3)], link)
    for taken, reason in zip(desk.taken, (None, "shape", None), strict=True):
        desk.in_hand.settle(taken, "mark", reason)

    def fail(*_: object) -> bool:
        raise ZeroDivisionError

    with monkeypatch.context() as at_first:
        at_first.setattr(desk.shelf, "put", fail)
        with pytest.raises(ZeroDivisionError):
            desk.in_hand.finish(link)
    desk.in_hand.finish(link)

    assert desk.shelf.kept == [("bad", "shape")]
    assert desk.groups == [[("a", "mark"), ("bad", "mark"), ("b", "mark")]]
    assert link.acked == [1, 2, 3]


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


UNFORESEEN = [
    TypeError("keys must be str, int, float, bool or None, not bytes"),
    KeyError("a bug"),
    ValueError("Exceeds the limit for integer string conversion"),
    OverflowError("Python int too large to convert to SQLite INTEGER"),
    RecursionError("maximum recursion depth exceeded"),
    MemoryError("no room for an array"),
    UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed"),
    ZeroDivisionError("integer modulo by zero"),
]
ON_PURPOSE = [
    LeaseLostError("replaced"),
    RunDirectoryError("the ledger is damaged"),
    OSError("input/output error"),
]


@pytest.mark.parametrize("place", range(5))
@pytest.mark.parametrize("error", UNFORESEEN, ids=repr)
def test_a_commit_that_fails_for_one_message_costs_that_message_alone(
    desk: Desk, error: Exception, place: int
) -> None:
    link = Link()
    names = [f"m{n}" for n in range(5)]
    desk.fails_on = {f"committing m{place}": error}
    desk.in_hand.hand_over([delivery(name, n) for n, name in enumerate(names)], link)
    for taken in desk.taken:
        desk.in_hand.settle(taken, "mark", None)

    desk.in_hand.finish(link)
    others = [n for n in range(5) if n != place]
    assert link.acked == others
    desk.in_hand.finish(link)

    assert link.acked == [*others, place]
    assert desk.shelf.kept == [(f"m{place}", "error")]
    committed = [pair for group in desk.groups for pair in group]
    assert committed == [
        *((f"m{n}", "mark") for n in others),
        (f"m{place}", "refused: error"),
    ]
    assert desk.in_hand.failures == 1


@pytest.mark.parametrize("error", UNFORESEEN, ids=repr)
def test_a_message_on_which_taking_fails_is_set_aside_and_its_neighbours_go_on(
    desk: Desk, error: Exception
) -> None:
    link = Link()
    desk.fails_on = {"taking b": error}
    desk.in_hand.hand_over([delivery("a", 1), delivery("b", 2), delivery("c", 3)], link)
    # What the handler had already begun with it may still settle it, now or later.
    for taken in desk.taken:
        desk.in_hand.settle(taken, "mark", None)

    desk.in_hand.finish(link)
    assert sorted(link.acked) == [1, 2, 3]
    assert desk.shelf.kept == [("b", "error")]
    desk.in_hand.settle(desk.taken[1], "mark", None)
    desk.in_hand.finish(link)
    assert sorted(link.acked) == [1, 2, 3]
    assert ("b", "mark") not in [pair for group in desk.groups for pair in group]


def test_a_refusal_that_nobody_caught_keeps_its_reason(desk: Desk) -> None:
    desk.fails_on = {"taking a": MessageError("shape", "two ticks too many")}
    desk.in_hand.hand_over([delivery("a", 1)], Link())

    desk.in_hand.finish(Link())

    assert desk.shelf.kept == [("a", "shape")]


@pytest.mark.parametrize("error", UNFORESEEN, ids=repr)
def test_a_message_whose_failure_cannot_be_recorded_either_is_let_go(
    desk: Desk, error: Exception
) -> None:
    link = Link()
    desk.fails_on = {"committing a": error, "recording a": error}
    desk.in_hand.hand_over([delivery("a", 1), delivery("b", 2)], link)
    for taken in desk.taken:
        desk.in_hand.settle(taken, "mark", None)
    for _ in range(3):
        desk.in_hand.finish(link)
    assert sorted(link.acked) == [1, 2]

    desk.refuses_with = error
    desk.fails_on = {"taking c": error}
    desk.in_hand.hand_over([delivery("c", 3)], link)
    desk.in_hand.finish(link)
    assert sorted(link.acked) == [1, 2, 3]
    # Its id is free again.
    desk.fails_on = {}
    desk.in_hand.hand_over([delivery("c", 4)], link)
    assert desk.taken[-1].tag == 4


@pytest.mark.parametrize("error", ON_PURPOSE, ids=repr)
@pytest.mark.parametrize("when", ["taking", "committing"])
def test_an_error_of_the_lease_or_the_disk_ends_the_consumer(
    desk: Desk, error: Exception, when: str
) -> None:
    link = Link()
    desk.fails_on = {f"{when} b": error}

    def handle() -> None:
        desk.in_hand.hand_over([delivery("a", 1), delivery("b", 2)], link)
        for taken in desk.taken:
            desk.in_hand.settle(taken, "mark", None)
        desk.in_hand.finish(link)

    with pytest.raises(CallbackError) as caught:
        handle()

    assert caught.value.error is error
    assert link.acked == []


def test_when_the_disk_fills_up_between_two_of_a_group_the_first_is_acked(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now_s[0])
    link = Link()
    desk.fails_on = {"committing b": KeyError("a bug"), "committing c": DiskFullError("no room")}
    desk.in_hand.hand_over([delivery("a", 1), delivery("b", 2), delivery("c", 3)], link)
    for taken in desk.taken:
        desk.in_hand.settle(taken, "mark", None)
    desk.in_hand.finish(link)
    assert link.acked == [1]

    desk.fails_on = {}
    now_s[0] += 1.0
    for _ in range(2):
        desk.in_hand.finish(link)
    assert sorted(link.acked) == [1, 2, 3]
    assert desk.shelf.kept == [("b", "error")]


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
