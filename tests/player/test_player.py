"""The play loop: a task's budget, and what becomes of every batch."""

import json
import time
from itertools import pairwise

import pytest
from published_tasks import CONFIRMED, FULL, NO_LEARNER, UNKNOWN, task, told

from tinyqueue.data.session import Drop
from tinyqueue.player import player as player_module


def test_a_task_is_played_until_its_budget_is_spent(player, learners, broker):
    spec = learners.start(env="Slow-v0")
    player.play(task(spec, "warm-up"))
    played = len(broker.confirmed)

    began_s = time.monotonic()
    report = player.play(task(spec, "t1", budget_s=0.3))

    assert 0.2 < time.monotonic() - began_s < 3.0
    assert report.ended == "budget"
    assert report.batches == len(broker.confirmed) - played > 1
    assert report.refused == 0
    assert report.play_cpu_s > 0
    assert report.bus_cpu_s > 0


def test_every_task_that_ended_is_told_once(player, learners, broker):
    spec = learners.start(env="Slow-v0")

    for name in ("t1", "t2", "t3"):
        player.play(task(spec, name))

    # By its own last batch, or by the next task's first when its budget ran out in between.
    assert told(broker.confirmed)[:2] == ["t1", "t2"]
    for before, after in pairwise(broker.confirmed):
        if before.task != after.task:
            assert (*before.ended_tasks, *after.ended_tasks[:1]) == (before.task,)


def test_newer_weights_are_played_within_a_task(player, learners, broker):
    spec = learners.start()
    player.play(task(spec))

    newest = learners.publish(spec)
    player.play(task(spec, "t2", budget_s=0.3))

    assert broker.confirmed[0].policy_version == 1
    assert broker.confirmed[-1].policy_version == newest == 2


@pytest.mark.parametrize("refusal", [FULL, UNKNOWN])
def test_a_refused_batch_is_offered_again_under_its_id(player, learners, broker, refusal):
    spec = learners.start()
    broker.outcomes.extend([refusal, refusal, CONFIRMED])

    report = player.play(task(spec))

    assert [header.n for header in broker.offered[:4]] == [0, 0, 0, 1]
    assert report.refused == 2
    assert report.ended == "budget"


@pytest.mark.parametrize(("refusal", "ended"), [(FULL, "full"), (UNKNOWN, "broker")])
def test_a_batch_that_is_not_taken_goes_first_in_the_next_task(
    player, learners, broker, refusal, ended
):
    spec = learners.start()
    broker.otherwise = refusal

    report = player.play(task(spec, "t1"))

    assert (report.ended, report.batches) == (ended, 0)
    broker.otherwise = CONFIRMED
    player.play(task(spec, "t2"))
    assert [header.n for header in broker.confirmed[:2]] == [0, 1]
    assert broker.confirmed[0].dropped == ()
    assert told(broker.confirmed[:2]) == ["t1"]


@pytest.mark.parametrize(
    ("refusal", "reason"), [(FULL, "queue full"), (UNKNOWN, "broker unreachable")]
)
def test_a_batch_is_given_up_in_time_and_the_next_header_says_so(
    player, learners, broker, monkeypatch, refusal, reason
):
    monkeypatch.setattr(player_module, "GIVE_UP_S", 0.02)
    spec = learners.start()
    broker.otherwise = refusal
    player.play(task(spec, "t1"))

    broker.otherwise = CONFIRMED
    player.play(task(spec, "t2"))

    assert [header.n for header in broker.confirmed[:2]] == [1, 2]
    assert [header.dropped for header in broker.confirmed[:2]] == [(Drop(0, reason),), ()]
    assert broker.confirmed[0].ended_tasks == ("t1",)


def test_without_a_learner_the_task_ends_at_once(player, learners, broker):
    spec = learners.start()
    broker.otherwise = NO_LEARNER

    began_s = time.monotonic()
    report = player.play(task(spec, "t1", budget_s=5.0))

    assert time.monotonic() - began_s < 3.0
    assert report.ended == "no learner"
    broker.otherwise = CONFIRMED
    player.play(task(spec, "t2"))
    assert broker.confirmed[0].dropped == (Drop(0, "no learner"),)
    assert broker.confirmed[0].ended_tasks == ("t1",)


def test_what_a_dropped_header_would_have_told_is_told_by_the_next(player, learners, broker):
    spec = learners.start()
    broker.outcomes.extend([NO_LEARNER, NO_LEARNER, CONFIRMED])

    for name in ("t1", "t2", "t3"):
        player.play(task(spec, name))

    assert broker.confirmed[0].n == 2
    assert broker.confirmed[0].dropped == (Drop(0, "no learner", 2),)
    assert broker.confirmed[0].ended_tasks == ("t1", "t2")


@pytest.mark.parametrize(("alive", "ended"), [(False, "no learner"), (True, "full")])
def test_a_full_queue_is_left_alone_when_its_learner_is_gone(
    player, learners, broker, monkeypatch, alive, ended
):
    monkeypatch.setattr(player_module, "_LEASE_CHECK_S", 0.01)
    spec = learners.start()
    player.play(task(spec))
    if not alive:
        learners.release_lease(spec.experiment)
    broker.otherwise = FULL

    report = player.play(task(spec))

    assert report.ended == ended


def test_without_weights_a_task_waits_for_them_within_its_budget(player, learners, broker, client):
    spec = learners.start()
    client.delete("tinyqueue:maze:head")

    assert player.play(task(spec, budget_s=0.1)).ended == "no weights"

    learners.publish(spec)
    assert player.play(task(spec, "t2", budget_s=2.0)).ended == "budget"
    assert broker.confirmed[0].ended_tasks == ("t1",)


def test_the_journal_tells_of_every_batch_what_became_of_it(
    make_player, learners, broker, tmp_path
):
    player = make_player(publish_journal=tmp_path)
    spec = learners.start()
    broker.outcomes.extend([CONFIRMED, NO_LEARNER])

    player.play(task(spec))

    (file,) = tmp_path.iterdir()
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    stage = broker.offered[0].stage
    assert [(line["batch_id"], line["event"]) for line in lines] == [
        (f"{stage}:0", "attempted"),
        (f"{stage}:0", "confirmed"),
        (f"{stage}:1", "attempted"),
        (f"{stage}:1", "dropped"),
    ]
