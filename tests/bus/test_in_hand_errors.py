"""A message that fails costs itself alone; the lease and the disk end the consumer."""

from __future__ import annotations

import time

import pytest
from in_hand_desk import Desk, Link, delivery

from tinyqueue.bus.in_hand import CallbackError
from tinyqueue.errors import (
    DiskFullError,
    LeaseLostError,
    MessageError,
    RunDirectoryError,
)


@pytest.fixture
def desk() -> Desk:
    return Desk()


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
