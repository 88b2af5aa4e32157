"""Replay algorithms: stored before the ack, in the order of the log, drawn ahead of training."""

import time
from typing import Any, ClassVar

import numpy as np
import pytest
from meanwhile import meanwhile

from tinyqueue.algorithms.base import Update
from tinyqueue.bus.messages import Delivery
from tinyqueue.experience.replay_memory import ReplayMemory
from tinyqueue.experience.replay_source import ReplayExperience
from tinyqueue.experience.source import Arrival, Taken
from tinyqueue.replay.plan import Prioritisation, ReplayPlan

PLAN = ReplayPlan(
    batch_size=4, n_step=1, gamma=0.9, prioritisation=Prioritisation(0.6, 0.4, 0.4, 0)
)


class Stored(list[Any]):
    skipped: ClassVar[dict[int, str]] = {}


class Settled(list[Any]):
    """Marks, in the order in which they were settled."""

    def __call__(self, delivery, mark):
        self.append(mark)


@pytest.fixture
def settled():
    return Settled()


@pytest.fixture
def trimmed():
    """Where the session log was told to begin."""
    return []


@pytest.fixture
def withdrawn():
    """Numbers that were withdrawn from the session log."""
    return []


@pytest.fixture
def make(make_experiment_of, contract, trimmed, withdrawn):
    made = []

    def make(stored=(), **replay):
        section = {
            "capacity_steps": 40,
            "minimum_steps": 8,
            "samples_per_insert": 1.0,
            "tolerance_steps": 8,
        } | replay
        experiment = make_experiment_of(algorithm={"name": "apex"}, replay=section)
        made.append(
            ReplayExperience(
                ReplayMemory(experiment, PLAN, contract),
                Stored(stored),
                accepted_env_steps=lambda: 8 * len(stored),
                trim=trimmed.append,
                updates=lambda: 0,
                withdraw=withdrawn.extend,
            )
        )
        return made[-1]

    yield make
    for experience in made:
        experience.stop()
        assert experience.error is None


@pytest.fixture
def arrive(make_batch, settled):
    def arrive(n):
        batch = make_batch(n)
        delivery = Delivery(b"body %d" % n, {"codec": "none"}, batch.header.batch_id, "type")
        return Arrival(batch, delivery, settled)

    return arrive


def commit(experience, settled, first=1):
    """What the consumer's thread does with marks that were settled."""
    for number, mark in enumerate(settled, first):
        experience.committed(mark.batch_id, number)
    settled.clear()


def take_until(experience, done, timeout_s=5.0):
    """Everything taken until ``done`` says so of it."""
    found, deadline_s = [], time.monotonic() + timeout_s
    while not done(found):
        assert time.monotonic() < deadline_s
        taken = experience.take(timeout_s=0.01)
        if taken is not None:
            found.append(taken)
    return found


def arrived(found):
    return [batch.header.n for taken in found for batch in taken.arrived]


def test_a_batch_is_stored_at_once_and_counts_when_it_is_committed(make, arrive, settled):
    experience = make()
    experience.start()

    experience.offer(arrive(0))
    (mark,) = settled
    assert (mark.fate, mark.env_steps, mark.body.body) == ("accepted", 8, b"body 0")
    assert experience.take(timeout_s=0.2) is None

    commit(experience, settled)
    found = take_until(experience, lambda found: any(taken.experience for taken in found))
    assert arrived(found) == [0]


def test_a_wait_ends_in_time_although_a_signal_handler_outlasts_it(make, slow_signal):
    experience = make()
    experience.start()

    assert slow_signal(lambda: experience.take(timeout_s=0.1)) is None


def test_a_batch_that_the_ledger_knew_already_is_not_added(make, arrive, settled):
    experience = make()
    experience.start()
    experience.offer(arrive(0))

    experience.committed(settled[0].batch_id, 0)

    assert experience.take(timeout_s=0.2) is None
    assert experience.state().limiter["inserted"] == 0


def test_samples_that_wait_are_not_counted_as_trained_on(make, arrive, settled):
    experience = make()
    experience.start()
    experience.offer(arrive(0))
    commit(experience, settled)
    (taken,) = take_until(experience, lambda found: any(t.experience for t in found))

    before = experience.state().limiter["sampled"]
    experience.trained(taken, Update({}, np.ones(4)))

    assert (before, experience.state().limiter["sampled"]) == (0, 4)


def test_players_wait_while_training_is_behind_and_go_on_when_it_has_caught_up(
    make, arrive, settled
):
    # Given a limiter that lets two batches beyond the minimum in before training
    experience = make()
    for n in range(6):
        experience.offer(arrive(n))
    assert [mark.batch_id[-1] for mark in settled] == ["0", "1", "2"]
    assert experience.is_ahead

    # When what is stored is trained on
    experience.start()
    commit(experience, settled)
    take_until(experience, lambda found: len(settled) == 3)

    # Then the others are accepted, in their order
    assert [mark.batch_id[-1] for mark in settled] == ["3", "4", "5"]
    assert not experience.is_ahead


def test_at_the_end_what_is_accepted_is_waited_for_and_counted_and_no_more_is_accepted(
    make, arrive, settled
):
    experience = make()
    experience.start()
    for n in range(6):
        experience.offer(arrive(n))
    marks = list(settled)

    # Given batches that are committed, and drawn from, when the end has begun
    with meanwhile(0.2, commit, experience, marks):
        rest = experience.drain()

    assert [batch.header.n for batch in rest] == [0, 1, 2]
    assert experience.state().arrays["numbers"].tolist() == [1, 2, 3]
    assert len(settled) == 3


def test_the_end_does_not_wait_for_ever_for_a_disk_that_is_full(make, arrive, settled):
    experience = make()
    experience.start()
    experience.offer(arrive(0))

    assert experience.drain(timeout_s=0.1) == []


def test_priorities_are_written_back_and_kept_by_a_checkpoint(make, arrive, settled):
    experience = make()
    experience.start()
    experience.offer(arrive(0))
    commit(experience, settled)
    (sample,) = [
        taken.experience
        for taken in take_until(experience, lambda found: any(t.experience for t in found))
        if taken.experience is not None
    ]

    experience.trained(Taken([], sample), Update({}, np.full(4, 7.0)))

    priorities = experience.state().arrays["priorities"]
    assert np.isclose(priorities.ravel()[sample.rows], (7.0 + 1e-6) ** 0.6).all()


def test_what_has_been_evicted_may_be_trimmed(make, trimmed, arrive, settled):
    # Five batches fit in.
    experience = make(samples_per_insert=0.01, tolerance_steps=1000)
    experience.start()
    for n in range(8):
        experience.offer(arrive(n))
    commit(experience, settled)

    take_until(experience, lambda found: len(arrived(found)) == 8)
    assert max(trimmed) == 4


def test_a_restart_fills_the_replay_from_the_log_and_says_so(make, make_batch):
    experience = make(stored=[(n + 1, make_batch(n)) for n in range(4)])
    Stored.skipped = {9: "its checksum is wrong"}
    try:
        said = experience.restore(None)
    finally:
        Stored.skipped = {}

    assert "32 env steps" in said
    assert "1 rows were left out, such as 9: its checksum is wrong" in said
    experience.start()
    taken = take_until(experience, lambda found: len(found) == 1)
    assert taken[0].experience is not None
    assert arrived(taken) == []


def test_the_shares_of_waiting_are_told(make):
    experience = make()
    experience.start()
    experience.take(timeout_s=0.1)

    numbers = experience.numbers()

    assert numbers["players_wait_share"] > 0.3
    assert numbers["sampling_wait_share"] == 0.0
    assert numbers["replay_items"] == 0
