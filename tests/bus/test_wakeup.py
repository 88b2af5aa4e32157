from __future__ import annotations

import select
from collections.abc import Iterator

import pytest

from tinyqueue.bus.wakeup import Wakeup


@pytest.fixture
def wakeup() -> Iterator[Wakeup]:
    wakeup = Wakeup()
    yield wakeup
    wakeup.close()


def is_ringing(wakeup: Wakeup) -> bool:
    return bool(select.select([wakeup], [], [], 0)[0])


def test_it_rings_until_it_is_heard(wakeup: Wakeup) -> None:
    assert not is_ringing(wakeup)
    for _ in range(100_000):
        wakeup.ring()
    assert is_ringing(wakeup)

    wakeup.clear()
    assert not is_ringing(wakeup)

    wakeup.ring()
    assert is_ringing(wakeup)


def test_ringing_for_somebody_who_has_gone_is_no_error(wakeup: Wakeup) -> None:
    wakeup.close()

    wakeup.ring()
