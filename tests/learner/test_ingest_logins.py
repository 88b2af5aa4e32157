"""What a login can do to the experience of another, and to the log."""

from dataclasses import replace

from ingested import STAGE, commit_all, failure, train_one
from structlog.testing import capture_logs

from tinyqueue.bus.messages import Delivery
from tinyqueue.data.session import Drop
from tinyqueue.learner.ingest import LOGGED_AT_ONCE
from tinyqueue.wire.failures import FAILURE_TYPE, encode_failure


def sent_by(delivery, login):
    return replace(delivery, login=login)


def test_a_batch_in_the_name_of_another_login_is_set_aside(
    ingest, consumer, ledger, heard, failed, delivered
):
    ingest.on_delivery(sent_by(delivered(0, user="rack"), "mallory"))
    in_its_name = encode_failure(failure())
    ingest.on_delivery(Delivery(in_its_name, {}, "id", FAILURE_TYPE, login="mallory"))
    commit_all(ingest, consumer)

    assert [aside for *_, aside in consumer.settled] == ["login", "login"]
    assert (heard, failed) == ([], [])
    assert not ledger.knows(f"{STAGE}:0", "rack")


def test_a_login_cannot_settle_drop_or_announce_batches_of_anothers_stage(
    ingest, consumer, experience, ledger, delivered
):
    ingest.on_delivery(sent_by(delivered(0, user="rack"), "rack"))
    # Before the first is recorded, and after; sound, stale, of another run, and rubbish.
    for commits in (False, True):
        for n, changes in ((0, {}), (1, {"version": 0}), (5, {"dropped": (Drop(1, "x", 4),)})):
            ingest.on_delivery(sent_by(delivered(n, user="mallory", **changes), "mallory"))
        ingest.on_delivery(sent_by(delivered(2, user="mallory", run="d" * 32), "mallory"))
        ingest.on_delivery(Delivery(b"x", {}, f"{STAGE}:3", "text/plain", login="mallory"))
        if commits:
            continue
        train_one(experience)
        commit_all(ingest, consumer)
        consumer.settled.clear()
    assert [mark.batch_id for _, mark, _ in consumer.settled] == 5 * [None]
    assert {aside for *_, aside in consumer.settled} == {"login"}
    commit_all(ingest, consumer)
    consumer.settled.clear()

    for n in range(1, 6):
        ingest.on_delivery(sent_by(delivered(n, user="rack"), "rack"))
        assert train_one(experience).header.n == n
    commit_all(ingest, consumer)

    count = ledger.count()
    assert (count.accepted, count.set_aside, count.dropped) == (6, {"login": 10}, {})
    assert (count.missing, count.duplicates, count.unbalanced) == (0, 0, 0)


def test_without_logins_a_header_may_name_any(ingest, experience, delivered):
    # As on Redis, where all share one.
    ingest.on_delivery(delivered(0, user="whoever"))

    assert train_one(experience) is not None


def test_a_flood_of_one_login_neither_fills_the_log_nor_hides_another(ingest, delivered):
    with capture_logs() as lines:
        for number in range(1000):
            junk = Delivery(b"x", {}, str(number), "text/plain", login="mallory")
            ingest.on_delivery(junk)
        ingest.on_delivery(sent_by(delivered(0, user="x"), "rack"))

    assert len([line for line in lines if line["login"] == "mallory"]) <= LOGGED_AT_ONCE + 10
    assert lines[-1]["login"] == "rack"
