"""What a restart takes from the session log, and what it refuses."""

import contextlib
import sqlite3
from dataclasses import replace

import numpy as np
import pytest

from tinyqueue.data.spaces import Leaf
from tinyqueue.errors import ConfigError, DiskFullError
from tinyqueue.ledger.ledger import Ledger
from tinyqueue.ledger.logged_batches import LoggedBatches
from tinyqueue.ledger.marks import Mark, StoredBody
from tinyqueue.ledger.session_log import SessionLog
from tinyqueue.wire.contract import Extra
from tinyqueue.wire.sessions import encode_session

STATE = {"hidden": Leaf("float32", (3,))}


@pytest.fixture
def path(tmp_path, contract, make_batch):
    """A log of four batches of 4 ticks × 2 slots."""
    path = tmp_path / "sessions.db"
    with Ledger(path, experiment="pole", run=contract.run, keeps_bodies=True) as ledger:
        for n in range(4):
            made = make_batch(n)
            carried = replace(made, carry={"state/hidden": np.zeros((2, 3), np.float32)})
            encoded = encode_session(carried)
            body = StoredBody(encoded.body, encoded.headers)
            ledger.record([Mark(made.header.batch_id, "accepted", env_steps=8, body=body)])
    return path


@pytest.fixture
def contract(contract):
    return replace(contract, state=STATE)


@pytest.fixture
def damage():
    """Makes the checksum of a row wrong."""

    def damage(path, number):
        with contextlib.closing(sqlite3.connect(path)) as database, database:
            database.execute("UPDATE batches SET crc = crc + 1 WHERE number = ?", (number,))

    return damage


def no_mending():
    raise AssertionError("nothing is damaged")


def no_withdrawal(numbers):
    raise AssertionError(f"{numbers} are as they should be")


def test_the_batches_come_in_order(path, contract):
    batches = LoggedBatches(path, contract, no_mending, no_withdrawal)

    assert [(number, batch.header.n) for number, batch in batches] == [
        (number, number - 1) for number in range(1, 5)
    ]
    assert batches.skipped == {}


@pytest.mark.parametrize(
    ("now", "held", "wanted"),
    [
        ({"ticks": 8}, "4 ticks × 2 slots", "session.ticks × session.slots is 8 × 2 now"),
        ({"slots": 1}, "4 ticks × 2 slots", "session.ticks × session.slots is 4 × 1 now"),
        ({"ticks": 2, "slots": 4}, "4 ticks × 2 slots", "session.slots is 2 × 4 now"),
        (
            {"observations": {"": Leaf("float32", (3,))}},
            "observations of float32 [4]",
            "observations are float32 [3] now",
        ),
        (
            {"observations": {"": Leaf("uint8", (4,))}},
            "observations of float32 [4]",
            "observations are uint8 [4] now",
        ),
        (
            {"observations": {"a": Leaf("float32", (4,))}},
            "observations of float32 [4]",
            "observations are a: float32 [4] now",
        ),
        (
            {"actions": {"": Leaf("uint8", (2,), 2)}},
            "actions of uint8 []",
            "actions are uint8 [2] now",
        ),
        (
            {"state": {"hidden": Leaf("float32", (5,))}},
            "recurrent states of hidden: float32 [3]",
            "recurrent states are hidden: float32 [5] now",
        ),
        ({"state": {}}, "recurrent states of hidden: float32 [3]", "are nothing now"),
    ],
)
def test_batches_of_another_layout_are_refused_with_both_named_before_any_is_given(
    path, contract, now, held, wanted
):
    batches = iter(LoggedBatches(path, replace(contract, **now), no_mending, no_withdrawal))

    with pytest.raises(ConfigError) as refusal:
        next(batches)

    assert f"{path} holds" in str(refusal.value)
    assert held in str(refusal.value)
    assert wanted in str(refusal.value)
    with SessionLog(path) as log:
        assert len(list(log.rows())) == 4


def test_rows_that_cannot_be_read_are_left_out_and_the_log_is_mended(path, contract, damage):
    mended = []
    damage(path, 2)
    batches = LoggedBatches(path, contract, lambda: mended.append(1), no_withdrawal)

    assert [number for number, _ in batches] == [1, 3, 4]
    assert batches.skipped == {2: "its checksum is wrong"}
    assert mended == [1]


def test_without_room_the_log_is_mended_another_time(path, contract, damage):
    def no_room():
        raise DiskFullError("no room")

    damage(path, 1)

    assert [number for number, _ in LoggedBatches(path, contract, no_room, no_withdrawal)] == [
        2,
        3,
        4,
    ]


def test_extras_that_are_no_longer_recorded_do_not_matter(path, contract):
    batches = LoggedBatches(path, replace(contract, extras={}), no_mending, no_withdrawal)

    assert [number for number, _ in batches] == [1, 2, 3, 4]


def test_extras_that_were_not_recorded_yet_do_not_matter(path, contract):
    extras = {**contract.extras, "entropy": Extra("float32")}
    batches = LoggedBatches(path, replace(contract, extras=extras), no_mending, no_withdrawal)

    assert [number for number, _ in batches] == [1, 2, 3, 4]


@pytest.mark.parametrize("value", [3e38, -3e38, 1e30, np.nan, -np.inf])
@pytest.mark.parametrize("field", ["observations", "extras", "carry"])
def test_what_an_earlier_version_accepted_is_withdrawn_where_it_could_overflow(
    tmp_path, contract, make_batch, value, field
):
    # Given a log whose second batch has a number that is refused today
    path = tmp_path / "sessions.db"
    with Ledger(path, experiment="pole", run=contract.run, keeps_bodies=True) as ledger:
        for n in range(3):
            made = make_batch(n)
            batch = replace(made, carry={"state/hidden": np.zeros((2, 3), np.float32)})
            array = next(iter(getattr(batch, field).values()))
            array[(0,) * array.ndim] = value if n == 1 else -0.5
            encoded = encode_session(batch)
            body = StoredBody(encoded.body, encoded.headers)
            ledger.record([Mark(made.header.batch_id, "accepted", env_steps=8, body=body)])

        # When the run is resumed, and once more
        first = LoggedBatches(path, contract, no_mending, ledger.withdraw)
        assert [number for number, _ in first] == [1, 3]
        again = LoggedBatches(path, contract, no_mending, no_withdrawal)
        assert [number for number, _ in again] == [1, 3]

        # Then it was told once, and what was accepted is still accepted
        assert list(first.skipped) == [2]
        assert again.skipped == {}
        count = ledger.count()
        assert (count.accepted, count.withdrawn, count.unbalanced) == (3, 1, 0)
        assert ledger.env_steps == 24
    with SessionLog(path) as log:
        assert [row.number for row in log.rows()] == [1, 3]
        assert [entry.number for entry in log.entries()] == [1, 3]
        assert log.skipped == {}


def test_withdrawn_rows_are_trimmed_like_others(path, contract, make_batch):
    with Ledger(path, experiment="pole", run=contract.run, keeps_bodies=True) as ledger:
        # Number 9 is not held
        ledger.withdraw([2, 3, 9])
        ledger.trim(3)
        encoded = encode_session(make_batch(4))
        body = StoredBody(encoded.body, encoded.headers)
        ledger.record([Mark(make_batch(4).header.batch_id, "accepted", env_steps=8, body=body)])
        assert ledger.count().withdrawn == 2
    with Ledger(path, experiment="pole", run=contract.run, keeps_bodies=True) as ledger:
        assert ledger.count().withdrawn == 2
    with SessionLog(path) as log:
        assert log.numbers == range(3, 6)
        assert [row.number for row in log.rows()] == [4, 5]
