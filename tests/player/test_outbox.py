"""Publishing in the background: every batch until it is confirmed, and what headers tell."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checker import read_history
from playing import Playing

from tinyqueue.bus.messages import Outgoing, PublishOutcome
from tinyqueue.data.session import Drop, Header
from tinyqueue.errors import ConfigError
from tinyqueue.player.journal import PublishJournal
from tinyqueue.player.outbox import Outbox
from tinyqueue.player.spool import Spool, size_of
from tinyqueue.player.spool_folder import SpoolFolder
from tinyqueue.wire.sessions import decode_session

STAGE = f"{0:032x}"
CONFIRMED, FULL, NO_ROOM, NO_LEARNER, UNKNOWN = PublishOutcome


class Broker:
    """Answers with what is in ``outcomes``, then with ``otherwise``; waits while it is closed."""

    def __init__(self) -> None:
        self.outcomes: deque[PublishOutcome | Exception] = deque()
        self.otherwise = CONFIRMED
        self.is_open = threading.Event()
        self.is_open.set()
        self.offered: list[Header] = []
        self.confirmed: list[Header] = []
        self.closed = 0

    def publish(self, outgoing: Outgoing) -> PublishOutcome:
        header = decode_session(outgoing.body, outgoing.headers).header
        self.offered.append(header)
        self.is_open.wait(10.0)
        outcome = self.outcomes.popleft() if self.outcomes else self.otherwise
        if isinstance(outcome, Exception):
            raise outcome
        if outcome is CONFIRMED:
            self.confirmed.append(header)
        return outcome

    def pause_s(self) -> float:
        return 0.002

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def play() -> Playing:
    return Playing(0, ticks=4, slots=1, rng=np.random.default_rng(3))


@pytest.fixture
def broker() -> Broker:
    return Broker()


Make = Callable[..., Outbox]


@pytest.fixture
def make(broker: Any, tmp_path: Path) -> Iterator[Make]:
    made: list[Outbox] = []

    def make(memory_bytes: int = 1 << 20, disk: bool = True) -> Outbox:
        folder = SpoolFolder(tmp_path / "spool", "e", "r", STAGE, 1 << 20, "none") if disk else None
        spool = Spool(memory_bytes, folder, STAGE)
        journal = PublishJournal(tmp_path / "journal", STAGE)
        made.append(Outbox(STAGE, "none", spool, broker, journal))
        return made[-1]

    yield make
    broker.is_open.set()
    for outbox in made:
        outbox.close(0.0)


def until(found: Callable[[], object]) -> None:
    deadline_s = time.monotonic() + 20.0
    while not found():
        assert time.monotonic() < deadline_s
        time.sleep(0.002)


def test_batches_are_published_in_order_each_until_it_is_confirmed(
    make: Make, broker: Broker, play: Playing
) -> None:
    broker.outcomes += [FULL, UNKNOWN, CONFIRMED, UNKNOWN]
    outbox = make()

    for _ in range(3):
        outbox.put(play.play())
    until(lambda: len(outbox) == 0)

    assert [header.n for header in broker.offered] == [0, 0, 0, 1, 1, 2]
    assert [header.n for header in broker.confirmed] == [0, 1, 2]


def test_to_put_does_not_wait_for_a_broker_that_does_not_answer(
    make: Make, broker: Broker, play: Playing
) -> None:
    broker.is_open.clear()
    outbox = make()
    batches = [play.play() for _ in range(20)]

    began_s = time.monotonic()
    for batch in batches:
        outbox.put(batch)
    took_s = time.monotonic() - began_s
    broker.is_open.set()
    until(lambda: len(outbox) == 0)

    assert took_s < 5.0, "the broker answers after 10 s"
    assert len(broker.confirmed) == 20


def test_a_learner_that_is_gone_for_a_while_costs_no_batch(
    make: Make, broker: Broker, play: Playing
) -> None:
    broker.outcomes += [NO_LEARNER]
    outbox = make()

    outbox.put(play.play())
    until(lambda: len(outbox) == 0)

    assert [header.n for header in broker.confirmed] == [0]


def test_an_ended_task_is_told_until_a_header_that_tells_of_it_is_confirmed(
    make: Make, broker: Broker, play: Playing
) -> None:
    broker.outcomes += [UNKNOWN]
    outbox = make()

    outbox.ended("t1")
    outbox.put(play.play())
    until(lambda: len(outbox) == 0)
    outbox.put(play.play())
    until(lambda: len(outbox) == 0)

    assert [header.ended_tasks for header in broker.offered] == [("t1",), ("t1",), ()]


def test_dropped_batches_are_told_by_the_next_header_and_in_the_journal(
    make: Make, broker: Broker, play: Playing, tmp_path: Path
) -> None:
    broker.is_open.clear()
    batches = [play.play() for _ in range(5)]
    outbox = make(memory_bytes=2 * size_of(batches[0]), disk=False)

    outbox.put(batches[0])
    until(lambda: broker.offered)
    for batch in batches[1:]:
        outbox.put(batch)
    broker.is_open.set()
    until(lambda: len(outbox) == 0)

    assert [header.n for header in broker.confirmed] == [0, 3, 4]
    told = [header.dropped for header in broker.confirmed]
    assert told == [(), (Drop(1, "spool full", 2),), ()]
    history = read_history(tmp_path / "journal")
    assert history.dropped == {f"{STAGE}:1", f"{STAGE}:2"}
    assert history.attempted == {f"{STAGE}:{n}" for n in range(5)}
    assert history.unknown == frozenset()


def test_a_refusal_of_the_login_is_known_and_is_over_once_it_works(
    make: Make, broker: Broker, play: Playing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tinyqueue.player.outbox._REFUSED_S", 0.2)
    broker.outcomes += [ConfigError("the broker refuses what 'rack' publishes")]
    outbox = make()

    outbox.put(play.play())
    until(lambda: outbox.error is not None)
    until(lambda: len(outbox) == 0)

    assert outbox.error is None
    assert len(broker.confirmed) == 1


def test_closing_publishes_what_is_left(make: Make, broker: Broker, play: Playing) -> None:
    outbox = make()
    for _ in range(10):
        outbox.put(play.play())

    outbox.close()
    outbox.close()

    assert [header.n for header in broker.confirmed] == list(range(10))
    assert broker.closed == 1


def test_closing_without_a_broker_saves_what_is_left(
    make: Make, broker: Broker, play: Playing, tmp_path: Path
) -> None:
    broker.otherwise = UNKNOWN
    outbox = make()
    for _ in range(3):
        outbox.put(play.play())

    outbox.close(0.05)

    assert len(list((tmp_path / "spool").glob("e/*/*.session"))) == 3
