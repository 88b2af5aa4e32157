"""Every message has one fate: trained and accepted, dropped, set aside, or known already."""

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from structlog.testing import capture_logs

from tinyqueue.algorithms.base import Update
from tinyqueue.bus.messages import Delivery
from tinyqueue.data.episodes import Episodes
from tinyqueue.data.session import Drop
from tinyqueue.errors import LeaseLostError, MessageError
from tinyqueue.experience.setbacks import Setbacks
from tinyqueue.experience.stream_source import StreamExperience
from tinyqueue.learner.ingest import LOGGED_AT_ONCE, Ingest
from tinyqueue.ledger.ledger import Ledger
from tinyqueue.wire.evaluation_signs import SIGN_TYPE, EvaluationSign, decode_sign, encode_sign
from tinyqueue.wire.evaluations import (
    EVALUATION_TYPE,
    EvaluationResult,
    decode_evaluation,
    encode_evaluation,
)
from tinyqueue.wire.failures import FAILURE_TYPE, TaskFailure, encode_failure
from tinyqueue.wire.sessions import SESSION_TYPE, encode_session

HEAD = 50
RUN = "c" * 32
DECODE = {EVALUATION_TYPE: decode_evaluation, SIGN_TYPE: decode_sign}
STAGE = "a" * 32


class Consumer:
    """Remembers what was settled and how."""

    def __init__(self):
        self.settled = []

    def settle(self, delivery, mark, set_aside=None):
        self.settled.append((delivery, mark, set_aside))

    @property
    def fates(self):
        return [mark and (mark.fate, mark.reason) for _, mark, _ in self.settled]


class Lease:
    """This learner's, until it is lost."""

    is_lost = False

    def check(self):
        if self.is_lost:
            raise LeaseLostError("another learner trains this run")


@pytest.fixture
def ledger(tmp_path):
    with Ledger(tmp_path / "sessions.db", experiment="pole", run="1") as ledger:
        yield ledger


@pytest.fixture
def consumer():
    return Consumer()


@pytest.fixture
def experience(ledger):
    return StreamExperience(1, ledger.knows, log_every_s=60.0)


@pytest.fixture
def heard():
    return []


@pytest.fixture
def evaluated():
    return []


@pytest.fixture
def failed():
    return []


@pytest.fixture
def said():
    return []


@pytest.fixture
def lease():
    return Lease()


@pytest.fixture
def ingest(lease, contract, ledger, experience, consumer, heard, evaluated, failed, said):
    ingest: Any = Ingest(
        contract,
        ledger,
        experience,
        max_policy_lag=10,
        head=lambda: HEAD,
        heard=lambda login, player, ended, play_s: heard.append((player, ended)),
        failed=lambda failure, login: failed.append(failure),
        setbacks=Setbacks(said.append, 60.0),
        evaluated=lambda delivery: evaluated.append(DECODE[delivery.content_type](delivery.body)),
        check_lease=lease.check,
    )
    ingest.on_delivery = partial(ingest.on_delivery, settle=consumer.settle)
    return ingest


@pytest.fixture
def delivered(make_batch):
    def make(n=0, version=HEAD, content_type=SESSION_TYPE, message_id=None, **changes):
        batch = changes.pop("batch", None) or make_batch(n, version=version, **changes)
        encoded = encode_session(batch)
        return Delivery(
            encoded.body, encoded.headers, message_id or batch.header.batch_id, content_type
        )

    return make


def commit_all(ingest, consumer):
    ingest.commit([(delivery, mark) for delivery, mark, _ in consumer.settled])


def train_one(experience):
    taken = experience.take(timeout_s=0.01)
    if taken is None:
        return None
    experience.trained(taken, Update({}))
    (batch,) = taken.arrived
    return batch


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


def test_a_player_is_heard_with_the_tasks_it_ended(ingest, heard, delivered):
    ingest.on_delivery(delivered(0, ended_tasks=("t1", "t2")))

    assert heard == [("host:1", ("t1", "t2"))]


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


def test_an_evaluation_goes_to_whoever_asked_and_not_to_the_ledger(
    ingest, consumer, evaluated, ledger
):
    lengths = np.array([3], np.int32)
    result = EvaluationResult("ask", "pole", "r", 7, np.ones(1, np.float32), lengths, 0.5, "h:1")

    ingest.on_delivery(Delivery(encode_evaluation(result), {}, "ask", EVALUATION_TYPE))
    commit_all(ingest, consumer)

    assert [(r.request, r.policy_version) for r in evaluated] == [("ask", 7)]
    assert [(mark, aside) for _, mark, aside in consumer.settled] == [(None, None)]
    assert ledger.count().attempted == 0


def test_a_sign_of_an_evaluation_goes_to_whoever_asked_and_not_to_the_ledger(
    ingest, consumer, evaluated, ledger
):
    sign = EvaluationSign("ask", "pole", "r", "h:1")

    ingest.on_delivery(Delivery(encode_sign(sign), {}, "ask:0", SIGN_TYPE))
    commit_all(ingest, consumer)

    assert evaluated == [sign]
    assert [(mark, aside) for _, mark, aside in consumer.settled] == [(None, None)]
    assert ledger.count().attempted == 0


@pytest.mark.parametrize("content_type", [EVALUATION_TYPE, SIGN_TYPE])
def test_a_broken_evaluation_is_set_aside(ingest, consumer, evaluated, content_type):
    ingest.on_delivery(Delivery(b"\x00", {}, "ask", content_type))

    assert evaluated == []
    ((_, mark, set_aside),) = consumer.settled
    assert mark is None
    assert set_aside == "malformed"


def failure(**changes):
    values = {"experiment": "pole", "run": RUN} | changes
    return TaskFailure("t1", kind="OSError", text="no display", player="h:1", user="me", **values)


def test_a_failed_task_goes_to_the_feed_and_not_to_the_ledger(ingest, consumer, failed, ledger):
    ingest.on_delivery(Delivery(encode_failure(failure()), {}, "id", FAILURE_TYPE))
    commit_all(ingest, consumer)

    assert failed == [failure()]
    assert [(mark, aside) for _, mark, aside in consumer.settled] == [(None, None)]
    assert ledger.count().attempted == 0


@pytest.mark.parametrize("changes", [{"run": "d" * 32}, {"experiment": "other"}])
def test_a_failed_task_of_another_run_is_settled_and_forgotten(ingest, consumer, failed, changes):
    ingest.on_delivery(Delivery(encode_failure(failure(**changes)), {}, "id", FAILURE_TYPE))

    assert failed == []
    assert [(mark, aside) for _, mark, aside in consumer.settled] == [(None, None)]


def test_a_broken_failure_is_set_aside(ingest, consumer, failed):
    ingest.on_delivery(Delivery(b"\x00", {}, "id", FAILURE_TYPE))

    assert failed == []
    assert [aside for _, _, aside in consumer.settled] == ["malformed"]


def with_reward(batch, value):
    rewards = batch.rewards.copy()
    rewards[2, 1] = value
    return replace(batch, rewards=rewards)


def test_what_is_set_aside_is_said_with_its_value_setting_and_player(
    ingest, said, heard, make_batch, delivered
):
    batch = make_batch(0, version=HEAD, ended_tasks=("t1",))
    ingest.on_delivery(delivered(batch=with_reward(batch, -1e9)))

    assert said == [
        "a session batch is set aside: reward -1e+09 in slot 1: learner.max_abs_reward is 10 "
        "(player host:1)"
    ]
    # Its task is over all the same, though nothing says that the player is one.
    assert heard == [("", ("t1",))]


def test_a_clipped_batch_is_trained_on_and_told(
    ingest, contract, experience, said, make_batch, delivered
):
    ingest._contract = replace(contract, clips=True)
    ingest.on_delivery(delivered(batch=with_reward(make_batch(0, version=HEAD), 1e9)))

    assert train_one(experience).rewards[2, 1] == 10.0
    assert said == [
        "reward 1e+09 in slot 1: learner.max_abs_reward is 10; it is clipped to that "
        "(player host:1)"
    ]


def ending(batch, value):
    """The batch with an episode that ends in its last tick and claims this return."""
    terminated = batch.terminated.copy()
    terminated[-1, 1] = True
    return replace(
        batch, terminated=terminated, episodes=Episodes.of([1], [value], [batch.ticks], [0.1])
    )


def test_a_return_that_cannot_be_is_clipped_or_set_aside_and_told(
    ingest, contract, consumer, experience, said, make_batch, delivered
):
    claim = ending(make_batch(0, version=HEAD), 1e30)
    ingest.on_delivery(delivered(batch=claim))
    ingest._contract = replace(contract, clips=True)
    ingest.on_delivery(
        delivered(batch=replace(claim, header=replace(claim.header, stage="b" * 32)))
    )

    earned = float(claim.rewards[:, 1].sum())
    told = f"return 1e+30 in slot 1 after {claim.ticks} steps: learner.max_abs_reward is 10"
    assert said == [
        f"a session batch is set aside: {told} (player host:1)",
        f"{told}; it is clipped to that in every step (player host:1)",
        f"an episode in slot 1 is said to have a return of {10 * claim.ticks} in {claim.ticks} "
        f"steps, and its rewards add up to {earned:g} in {claim.ticks}; what rewards add up to is "
        "shown and averaged (player host:1)",
    ]
    assert consumer.fates == [("set aside", "too-far")]
    assert train_one(experience).episodes.returns.tolist() == [pytest.approx(earned)]


def test_what_rewards_add_up_to_counts_and_not_what_a_player_claims(
    ingest, experience, said, make_batch, delivered
):
    claim = ending(make_batch(0, version=HEAD), 39.0)
    ingest.on_delivery(delivered(batch=claim))

    assert train_one(experience).episodes.returns.tolist() == [
        pytest.approx(float(claim.rewards[:, 1].sum()))
    ]
    (line,) = said
    assert "is said to have a return of 39 in" in line


def test_a_number_of_info_that_is_far_beyond_the_trial_s_counts_as_none_and_is_told(
    ingest, contract, experience, said, make_batch, delivered
):
    ingest._contract = replace(contract, info=1, info_limits={"x": 1e8})
    batch = make_batch(0, version=HEAD)
    batch = ending(batch, float(batch.rewards[:, 1].sum()))
    info = np.array([[1e20]], np.float32)
    episodes = replace(batch.episodes, info_last=info, info_mean=np.float32(5.0) * info / info)
    ingest.on_delivery(delivered(batch=replace(batch, episodes=episodes)))

    found = train_one(experience).episodes
    assert np.isnan(found.info_last).all()
    assert found.info_mean.tolist() == [[5.0]]
    (line,) = said
    assert line.startswith("metrics.info: 'x' is said to be 1e+20 in an episode")


def test_rewards_of_stale_batches_add_up_too(ingest, experience, said, make_batch, delivered):
    first, claim = make_batch(0, version=0), ending(make_batch(1, version=HEAD), 0.0)
    earned = float(first.rewards[:, 1].sum() + claim.rewards[:, 1].sum())
    claim = replace(claim, episodes=Episodes.of([1], [earned], [first.ticks + claim.ticks], [0.1]))
    ingest.on_delivery(delivered(batch=first))
    ingest.on_delivery(delivered(batch=claim))

    assert train_one(experience).episodes.returns.tolist() == [pytest.approx(earned)]
    assert said == []


def test_faults_of_environments_are_told_and_their_batch_is_trained_on(
    ingest, experience, said, delivered
):
    ingest.on_delivery(delivered(0, faults=2, fault="Maze-v3 failed in step 3 in slot 1: OSError"))

    assert train_one(experience) is not None
    (line,) = said
    assert "Maze-v3 failed in step 3 in slot 1" in line
    assert "host:1" in line


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


def test_a_number_that_no_id_can_hold_is_set_aside(ingest, consumer, experience, delivered):
    ingest.on_delivery(delivered(10**18))

    assert train_one(experience) is None
    assert [aside for *_, aside in consumer.settled] == ["range"]
    commit_all(ingest, consumer)


def test_batches_of_another_run_make_no_player(ingest, heard, delivered):
    for number in range(100):
        ingest.on_delivery(delivered(number, run="d" * 32, player=f"ghost-{number}"))

    assert heard == []


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


def test_a_flood_of_one_login_neither_fills_the_log_nor_hides_another(ingest, delivered):
    with capture_logs() as lines:
        for number in range(1000):
            junk = Delivery(b"x", {}, str(number), "text/plain", login="mallory")
            ingest.on_delivery(junk)
        ingest.on_delivery(sent_by(delivered(0, user="x"), "rack"))

    assert len([line for line in lines if line["login"] == "mallory"]) <= LOGGED_AT_ONCE + 10
    assert lines[-1]["login"] == "rack"


@pytest.mark.parametrize("content_type", [EVALUATION_TYPE, SIGN_TYPE, FAILURE_TYPE])
def test_only_session_batches_count_as_such_where_the_consumer_sets_them_aside(
    ingest, said, content_type
):
    delivery = Delivery(b"", {}, "", content_type, login="rack")

    assert ingest.refused(delivery, MessageError("malformed", "it expires")) is None

    assert said == []


def test_what_a_batch_that_is_set_aside_announces_is_dropped_and_not_missing(
    ingest, consumer, ledger, make_batch, delivered
):
    # Given the first message of a stage, whose batch is wrong and whose header is not
    batch = make_batch(2, version=HEAD, dropped=(Drop(0, "queue full", 2),))
    ingest.on_delivery(delivered(batch=with_reward(batch, float("nan"))))
    commit_all(ingest, consumer)

    count = ledger.count()
    assert (count.dropped, count.set_aside, count.missing) == ({"queue full": 2}, {"reward": 1}, 0)
