"""How far players may be ahead: the bound holds in any order, and what is lost comes back."""

from __future__ import annotations

from collections import deque
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyqueue.bus.messages import Delivery
from tinyqueue.errors import ServiceUnreachableError
from tinyqueue.learner.credits import GRACE_S, Credits
from tinyqueue.store.credits import Credit

DELIVERY = Delivery(b"body", {}, "id", "type", login="rack")


class Waiting(deque[Credit]):
    """Credits that nobody has taken; the store does not answer while it is away."""

    is_away = False

    def require(self) -> None:
        if self.is_away:
            raise ServiceUnreachableError("the store is away")

    def append(self, credit: Credit) -> None:
        self.require()
        super().append(credit)

    def waiting(self) -> int:
        self.require()
        return len(self)


class World:
    """A learner's credits, the batches in play and in hand, and a clock."""

    def __init__(self, batches: int = 4) -> None:
        self.store = Waiting()
        self.now_s = 0.0
        self.version = 0
        store: Any = self.store
        self.credits = Credits(
            store,
            batches=batches,
            head=lambda: self.version,
            patience_s=60.0,
            clock=lambda: self.now_s,
        )
        self.credits.begin()

    def arrive(self, credit: Credit, play_s: float = 1.0) -> Any:
        return self.credits.of_batch(credit.number, play_s, lambda *told: None)


@given(
    per_update=st.integers(1, 4),
    lag=st.integers(0, 3),
    choices=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 99)), max_size=200),
)
def test_no_batch_lags_more_than_it_may_however_players_and_learner_are_scheduled(
    per_update, lag, choices
):
    world = World(per_update * (lag + 1))
    playing: list[tuple[Credit, int]] = []
    in_hand: deque[tuple[Credit, int]] = deque()
    for does, which in choices:
        if does == 0 and world.store:
            credit = world.store.popleft()
            # A player has that version, or a newer one.
            playing.append((credit, credit.version + which % (world.version - credit.version + 1)))
        elif does == 1 and playing:
            # The learner takes batches in the order in which their credits were issued.
            in_hand.append(playing.pop(0))
        elif does == 2 and len(in_hand) >= per_update:
            taken = [in_hand.popleft() for _ in range(per_update)]
            assert all(world.version - played <= lag for _, played in taken)
            settled = [world.arrive(credit) for credit, _ in taken]
            world.version += 1
            for settle in settled:
                settle(DELIVERY, None)
        assert len(world.store) + len(playing) + len(in_hand) == per_update * (lag + 1)


def test_a_credit_comes_back_only_when_its_batch_is_over():
    world = World(batches=1)
    settle = world.arrive(world.store.popleft())
    assert not world.store

    world.version = 3
    settle(DELIVERY, None)

    (credit,) = world.store
    assert credit.version == 3


def test_a_credit_that_is_lost_with_its_player_is_issued_again():
    world = World(batches=2)
    world.arrive(world.store.popleft(), play_s=2.0)(DELIVERY, None)
    world.store.popleft()
    world.credits.look()

    world.now_s += GRACE_S
    world.credits.look()
    assert len(world.store) == 1

    world.now_s += 3 * 2.0 + 0.1
    world.credits.look()
    assert len(world.store) == 2
    assert world.credits.lost == 1


def test_credits_that_nobody_takes_are_not_lost():
    world = World(batches=3)
    for _ in range(5):
        world.now_s += 1000.0
        world.credits.look()

    assert len(world.store) == 3
    assert world.credits.lost == 0


def test_a_batch_in_hand_is_not_lost_however_long_it_waits():
    world = World(batches=1)
    settle = world.arrive(world.store.popleft())
    for _ in range(5):
        world.now_s += 1000.0
        world.credits.look()
    assert not world.store

    settle(DELIVERY, None)
    assert len(world.store) == 1


@pytest.mark.parametrize("number", [0, 12345])
def test_a_batch_without_a_credit_of_this_learner_gives_none_back(number):
    world = World(batches=2)

    world.arrive(Credit(number, 0))(DELIVERY, None)

    assert len(world.store) == 2


def test_a_credit_gives_one_back_once():
    world = World(batches=2)
    credit = world.store.popleft()

    world.arrive(credit)(DELIVERY, None)
    world.arrive(credit)(DELIVERY, None)

    assert len(world.store) == 2


def test_what_a_store_did_not_take_is_sent_when_it_is_back():
    world = World(batches=3)
    settled = [world.arrive(world.store.popleft()) for _ in range(3)]
    world.store.is_away = True
    for settle in settled:
        settle(DELIVERY, None)
    with pytest.raises(ServiceUnreachableError):
        world.credits.look()

    world.store.is_away = False
    world.credits.look()

    assert len(world.store) == 3


def test_an_emptied_store_is_filled_again():
    world = World(batches=3)
    world.store.clear()
    world.credits.look()

    world.now_s += 61.0
    world.credits.look()

    assert len(world.store) == 3
