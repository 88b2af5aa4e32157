"""What a stage keeps between tasks: the batch under way, and what is still to be told."""

from __future__ import annotations

from typing import Any

import pytest

from tinyqueue.data.session import Drop
from tinyqueue.player.open_stage import OpenStage
from tinyqueue.wire.limits import Limits
from tinyqueue.wire.sessions import decode_session


class Policy:
    closed = False

    def close(self):
        self.closed = True


@pytest.fixture
def opened(spec, stage):
    played = spec("Countdown-v0", ticks=4, slots=2)
    policy: Any = Policy()
    opened = OpenStage(played, stage(played), policy)
    yield opened
    opened.close()


@pytest.fixture
def play(opened, runner):
    """Plays a batch of a task, its last or not; returns the header that is offered."""
    policy = runner(opened.spec)

    def play(task="t1", is_last=False):
        opened.play(policy, task, is_last=lambda batch_s: is_last)
        return decode_session(opened.pending.body, opened.pending.headers, Limits()).header

    return play


def test_the_last_batch_of_a_task_tells_that_it_has_ended(opened, play):
    headers = []
    for is_last in (False, False, True):
        headers.append(play(is_last=is_last))
        opened.confirmed()

    assert [header.ended_tasks for header in headers] == [(), (), ("t1",)]
    assert [header.n for header in headers] == [0, 1, 2]
    assert opened.ended_tasks == []


def test_the_pending_batch_has_its_id_and_its_task(opened, play):
    header = play("t7")

    assert opened.pending.message_id == header.batch_id == f"{opened.stage.id}:0"
    assert opened.pending.correlation_id == "t7"
    assert opened.pending.experiment == "maze"


def test_whether_a_batch_is_the_last_is_judged_by_what_batches_take(opened, runner):
    asked = []

    def is_last(batch_s):
        asked.append(batch_s)
        return False

    for _ in range(3):
        opened.play(runner(opened.spec), "t1", is_last=is_last)
        opened.confirmed()

    assert all(0 < batch_s < 5 for batch_s in asked)
    assert asked[-1] == opened.batch_s


def test_what_is_told_is_told_until_it_is_confirmed(opened, play):
    play("t1", is_last=True)
    opened.drop("queue full")
    second = play("t2", is_last=True)
    opened.drop("no learner")
    third = play("t3")
    opened.confirmed()
    fourth = play("t3")

    assert (second.dropped, second.ended_tasks) == ((Drop(0, "queue full"),), ("t1", "t2"))
    assert third.dropped == (Drop(0, "queue full"), Drop(1, "no learner"))
    assert third.ended_tasks == ("t1", "t2")
    assert (fourth.dropped, fourth.ended_tasks) == ((), ())


def test_what_happens_while_a_batch_is_under_way_is_told_by_the_next(opened, play):
    play("t1")
    opened.ended_tasks.append("t1")
    opened.confirmed()

    assert play("t2").ended_tasks == ("t1",)


def test_closing_ends_what_follows_the_weights(opened):
    opened.close()

    assert opened.policy.closed
