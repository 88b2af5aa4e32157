"""Every message has one fate: trained and accepted, dropped, set aside, or known already."""

from dataclasses import replace

import numpy as np
import pytest
from ingested import HEAD, commit_all, train_one, with_reward

from tinyqueue.bus.messages import Delivery
from tinyqueue.data.session import Drop
from tinyqueue.errors import LeaseLostError
from tinyqueue.experience.setbacks import Setbacks
from tinyqueue.experience.stream_source import StreamExperience
from tinyqueue.learner.ingest import Ingest
from tinyqueue.wire.sessions import SESSION_TYPE


def test_a_batch_is_accepted_only_when_it_has_been_trained_on(
    ingest, experience, consumer, ledger, delivered
):
    ingest.on_delivery(delivered(0))
    assert consumer.settled == []

    batch = train_one(experience)
    assert consumer.fates == [("accepted", "")]
    assert ledger.env_steps == 0

    commit_all(ingest, consumer)
    assert ledger.env_steps == 8
    assert ledger.knows(batch.header.batch_id)


def test_what_was_trained_on_is_not_accepted_once_the_lease_is_lost(
    ingest, lease, experience, consumer, ledger, delivered
):
    ingest.on_delivery(delivered(0))
    train_one(experience)
    lease.is_lost = True

    with pytest.raises(LeaseLostError):
        commit_all(ingest, consumer)

    assert ledger.env_steps == 0


def test_an_experience_is_told_what_was_committed_and_where_it_is_logged(
    contract, ledger, consumer, delivered
):
    rows = []

    class Told(StreamExperience):
        def committed(self, batch_id, number):
            rows.append((batch_id[-2:], number))

    experience = Told(1, ledger.knows, log_every_s=1e-9)
    ingest = Ingest(contract, ledger, experience, max_policy_lag=10, head=lambda: HEAD,
                    heard=lambda *_: None, failed=lambda *_: None,
                    setbacks=Setbacks(lambda _: None, 60.0), evaluated=lambda _: None,
                    check_lease=lambda: None)  # fmt: skip
    for n in range(2):
        ingest.on_delivery(delivered(n), consumer.settle)
        train_one(experience)

    commit_all(ingest, consumer)
    commit_all(ingest, consumer)

    # The second time the ledger knew them already.
    assert rows == [(":0", 1), (":1", 2), (":0", 0), (":1", 0)]


def test_a_batch_that_was_accepted_is_not_trained_again(
    ingest, experience, consumer, ledger, delivered
):
    ingest.on_delivery(delivered(0))
    train_one(experience)
    commit_all(ingest, consumer)

    ingest.on_delivery(delivered(0))

    assert experience.take(timeout_s=0.01) is None
    assert consumer.fates[-1] == ("duplicate", "")
    ingest.commit([(consumer.settled[-1][0], consumer.settled[-1][1])])
    assert (ledger.count().accepted, ledger.count().duplicates) == (1, 1)


def test_a_batch_of_an_earlier_run_is_dropped(ingest, experience, consumer, delivered):
    # Of another shape even: an earlier run may have had another session size.
    ingest.on_delivery(delivered(0, run="d" * 32))

    assert consumer.fates == [("dropped", "other run")]
    assert experience.take(timeout_s=0.01) is None


@pytest.mark.parametrize(
    ("version", "fates"), [(HEAD - 10, []), (HEAD - 11, [("dropped", "stale")])]
)
def test_a_batch_of_too_old_a_version_is_dropped(ingest, consumer, delivered, version, fates):
    ingest.on_delivery(delivered(0, version=version))

    assert consumer.fates == fates


def test_a_drop_also_settles_what_its_header_told(ingest, consumer, ledger, delivered):
    ingest.on_delivery(delivered(2, version=0, dropped=(Drop(0, "queue full"), Drop(1, "other"))))
    commit_all(ingest, consumer)

    count = ledger.count()
    assert count.dropped == {"queue full": 1, "other": 1, "stale": 1}
    assert (count.attempted, count.missing, count.unbalanced) == (3, 0, 0)


def test_a_version_that_was_never_published_is_set_aside(ingest, consumer, delivered):
    ingest.on_delivery(delivered(0, version=HEAD + 1))

    ((_, mark, set_aside),) = consumer.settled
    assert (mark.fate, mark.reason, set_aside) == ("set aside", "version", "version")


@pytest.mark.parametrize(
    ("breaks", "reason"),
    [
        ({"experiment": "other", "run": "e" * 32}, "experiment"),
        ({"message_id": f"{'b' * 32}:9"}, "malformed"),
        ({"content_type": "text/plain"}, "type"),
    ],
)
def test_what_does_not_belong_here_is_set_aside(ingest, consumer, delivered, breaks, reason):
    ingest.on_delivery(delivered(0, **breaks))

    ((_, mark, set_aside),) = consumer.settled
    assert (mark.fate, mark.reason, set_aside) == ("set aside", reason, reason)


def test_a_nan_is_set_aside_and_its_neighbours_are_trained(
    ingest, experience, consumer, ledger, make_batch, delivered
):
    rewards = np.ones((4, 2), np.float32)
    rewards[2, 1] = np.nan
    for n in range(3):
        batch = make_batch(n, version=HEAD)
        ingest.on_delivery(delivered(batch=replace(batch, rewards=rewards) if n == 1 else batch))

    trained = [train_one(experience), train_one(experience)]
    commit_all(ingest, consumer)

    assert [batch.header.n for batch in trained] == [0, 2]
    assert ledger.count().set_aside == {"reward": 1}
    assert ledger.count().accepted == 2


def test_bytes_without_an_id_are_set_aside_and_counted(ingest, consumer, ledger):
    ingest.on_delivery(Delivery(b"\xc1 not msgpack", {}, "no id", SESSION_TYPE))
    commit_all(ingest, consumer)

    ((_, mark, set_aside),) = consumer.settled
    assert mark.batch_id is None
    assert set_aside == mark.reason
    assert sum(ledger.count().set_aside.values()) == 1


def test_a_number_that_no_id_can_hold_is_set_aside(ingest, consumer, experience, delivered):
    ingest.on_delivery(delivered(10**18))

    assert train_one(experience) is None
    assert [aside for *_, aside in consumer.settled] == ["range"]
    commit_all(ingest, consumer)


def test_what_was_set_aside_first_is_not_missing_as_well(
    ingest, consumer, experience, ledger, make_batch, delivered
):
    ingest.on_delivery(delivered(batch=with_reward(make_batch(0, version=HEAD), np.nan)))
    commit_all(ingest, consumer)
    consumer.settled.clear()
    ingest.on_delivery(delivered(1))
    train_one(experience)
    commit_all(ingest, consumer)

    count = ledger.count()
    assert (count.attempted, count.accepted, count.set_aside) == (2, 1, {"reward": 1})
    assert count.missing == 0


def test_faults_that_no_batch_can_have_are_refused(ingest, consumer, delivered):
    ingest.on_delivery(delivered(0, faults=2**62, fault="x"))

    assert [aside for *_, aside in consumer.settled] == ["range"]


def test_what_a_batch_that_is_set_aside_announces_is_dropped_and_not_missing(
    ingest, consumer, ledger, make_batch, delivered
):
    # Given the first message of a stage, whose batch is wrong and whose header is not
    batch = make_batch(2, version=HEAD, dropped=(Drop(0, "queue full", 2),))
    ingest.on_delivery(delivered(batch=with_reward(batch, float("nan"))))
    commit_all(ingest, consumer)

    count = ledger.count()
    assert (count.dropped, count.set_aside, count.missing) == ({"queue full": 2}, {"reward": 1}, 0)
