"""What a message tells besides experience: evaluations, failures, faults, and what is said."""

from dataclasses import replace

import numpy as np
import pytest
from ingested import HEAD, commit_all, failure, train_one, with_reward

from tinyqueue.bus.messages import Delivery
from tinyqueue.data.episodes import Episodes
from tinyqueue.errors import MessageError
from tinyqueue.wire.evaluation_signs import SIGN_TYPE, EvaluationSign, encode_sign
from tinyqueue.wire.evaluations import (
    EVALUATION_TYPE,
    EvaluationResult,
    encode_evaluation,
)
from tinyqueue.wire.failures import FAILURE_TYPE, encode_failure


def test_a_player_is_heard_with_the_tasks_it_ended(ingest, heard, delivered):
    ingest.on_delivery(delivered(0, ended_tasks=("t1", "t2")))

    assert heard == [("host:1", ("t1", "t2"))]


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
    batch = with_reward(make_batch(0, version=HEAD), 1e9)
    ingest.on_delivery(delivered(batch=ending(batch, float(batch.rewards[:, 1].sum()))))

    taken = train_one(experience)
    assert taken.rewards[2, 1] == 10.0
    assert taken.episodes.returns.tolist() == [10.0 * batch.ticks]
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
        f"an episode in slot 1 is said to have a return of 1e+30 in {claim.ticks} "
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


def test_batches_of_another_run_make_no_player(ingest, heard, delivered):
    for number in range(100):
        ingest.on_delivery(delivered(number, run="d" * 32, player=f"ghost-{number}"))

    assert heard == []


@pytest.mark.parametrize("content_type", [EVALUATION_TYPE, SIGN_TYPE, FAILURE_TYPE])
def test_only_session_batches_count_as_such_where_the_consumer_sets_them_aside(
    ingest, said, content_type
):
    delivery = Delivery(b"", {}, "", content_type, login="rack")

    assert ingest.refused(delivery, MessageError("malformed", "it expires")) is None

    assert said == []
