"""Leading, resting, replaced: what each may do, and what the user reads."""

import json
import math
import threading
from types import SimpleNamespace

import pytest

from tinyqueue.connection_faults import REFUSED
from tinyqueue.errors import (
    LeaseLostError,
    LeaseNotRenewedError,
    ServiceUnreachableError,
    StaleEpochError,
)
from tinyqueue.learner import standing as learner_standing
from tinyqueue.learner.standing import MOST_WAITING, Standing
from tinyqueue.run.run_directory import RunDirectory


class Lease:
    """Held until a test says otherwise."""

    is_valid, is_replaced, trouble, renewed_ago_s = True, False, "", 0.0
    stop_requested = False

    def check(self):
        if self.is_replaced:
            raise LeaseLostError("replaced")
        if not self.is_valid:
            raise LeaseNotRenewedError("not now")


@pytest.fixture
def lease():
    return Lease()


@pytest.fixture
def run(tmp_path, make_experiment_of):
    run = RunDirectory.create(tmp_path, make_experiment_of().document(), {})
    run.reserve_epoch(7)
    yield run
    run.close()


@pytest.fixture
def said():
    return []


@pytest.fixture
def now():
    return SimpleNamespace(s=100.0)


@pytest.fixture
def stopping():
    return threading.Event()


@pytest.fixture
def standing(lease, run, said, stopping, now):
    return Standing(lease, run, said.append, stopping, clock=lambda: now.s)


def test_a_leader_may_do_everything(standing, said):
    standing.require_lease()
    standing.require_record()
    standing.require_not_replaced()
    standing.tell()

    assert (standing.rests, standing.owns_run, said) == (False, True, [])


def test_a_resting_learner_goes_on_and_has_no_effect_until_it_ends(standing, lease):
    lease.is_valid = False

    standing.require_not_replaced()
    for act in (standing.require_lease, standing.require_record):
        with pytest.raises(LeaseNotRenewedError):
            act()
    standing.end()

    standing.require_record()
    with pytest.raises(LeaseNotRenewedError):
        standing.require_lease()
    assert standing.owns_run


def test_one_whose_publish_was_refused_ends_and_records_what_it_has(standing):
    standing.replaced(StaleEpochError("refused"))

    assert standing.rests
    with pytest.raises(StaleEpochError, match="refused"):
        standing.require_not_replaced()
    standing.end()
    standing.require_record()


def test_one_replaced_by_another_run_ends_and_records_what_it_has_in_its_own_directory(
    standing, lease
):
    lease.is_valid, lease.is_replaced = False, True

    with pytest.raises(LeaseLostError):
        standing.require_not_replaced()
    # Not an error that would end the consumer, which is needed for the last record.
    with pytest.raises(LeaseNotRenewedError):
        standing.require_record()
    standing.end()

    standing.require_record()
    assert standing.owns_run


@pytest.mark.parametrize("is_known", [True, False])
def test_one_whose_directory_was_taken_writes_nothing_any_more(standing, lease, run, is_known):
    """Known or not: Redis may be away."""
    lease.is_valid, lease.is_replaced = False, is_known
    state = json.loads((run.path / "run.json").read_bytes())
    (run.path / "run.json").write_text(json.dumps({**state, "epoch": 8}))

    for end in (lambda: None, standing.end):
        end()
        with pytest.raises(LeaseLostError if is_known else LeaseNotRenewedError):
            standing.require_record()
    assert not standing.owns_run


def test_an_outage_is_told_at_once_when_rest_begins_and_every_twenty_seconds_and_so_is_its_end(
    standing, lease, said, now
):
    lease.trouble = "Redis at store:6379 does not answer (timed out)."
    for second in range(50):
        now.s, lease.renewed_ago_s = 100.0 + second, 8.0 + second
        lease.is_valid = lease.renewed_ago_s < 15
        standing.tell()
    lease.trouble, lease.is_valid = "", True
    now.s = math.nextafter(150.0, 151.0)
    standing.tell()
    standing.tell()

    assert said == [
        "Redis at store:6379 does not answer (timed out). Since 8 s: weights are published when it "
        "works again; training goes on",
        *(
            f"Redis at store:6379 does not answer (timed out). Since {s} s: nothing is accepted or "
            "published until it works again; training waits for that"
            for s in (15, 35, 55)
        ),
        "Redis works again after 50 s; training goes on",
    ]


def test_weights_that_wait_are_told_after_a_moment_and_hold_training_after_some_versions(
    standing, said, now
):
    standing.waiting(1, "Redis refuses: OOM")
    standing.tell()
    now.s += 2.0
    standing.tell()
    assert (said, standing.holds) == ([], False)

    now.s += 2.0
    standing.tell()
    standing.waiting(MOST_WAITING, "Redis refuses: OOM")
    standing.tell()
    standing.tell()
    assert standing.holds
    assert said == [
        "Redis refuses: OOM. Since 4 s: weights are published when it works again; training goes "
        "on",
        "Redis refuses: OOM. Since 4 s: weights are published when it works again; training waits "
        "for that",
    ]

    standing.waiting(0, "")
    standing.tell()
    assert not standing.holds
    assert said[2:] == ["Redis works again after 4 s; training goes on"]


def test_weights_that_wait_for_a_moment_are_not_told(standing, said, now):
    standing.waiting(2, "Redis is busy")
    standing.tell()
    now.s += 1.0
    standing.waiting(0, "")
    standing.tell()

    assert said == []


def test_with_a_replay_training_goes_on_and_nobody_is_told_that_it_waits(standing, said, now):
    standing.may_hold = False
    standing.waiting(MOST_WAITING, "Redis refuses: OOM")
    standing.tell()
    now.s += 4.0
    standing.tell()

    assert not standing.waits
    assert [line.rpartition("; ")[2] for line in said] == ["training goes on"]


def test_weights_that_follow_a_renewed_lease_are_no_news(standing, lease, said, now):
    # Given a rest that was told, while weights waited as well
    lease.trouble, lease.is_valid = "Redis does not answer.", False
    standing.waiting(2, "Redis does not answer")
    standing.tell()

    # When the lease is renewed, and they are published a second later
    lease.trouble, lease.is_valid = "", True
    standing.tell()
    now.s += 1.0
    standing.waiting(0, "")
    standing.tell()

    assert said[1:] == ["Redis works again after 1 s; training goes on"]


@pytest.fixture
def at_once(monkeypatch):
    monkeypatch.setattr(learner_standing, "ASK_AGAIN_S", 0.0)


AWAY = ServiceUnreachableError("Redis does not answer.", kind="TimeoutError")


class Answers:
    """Raises these errors in turn, then returns 7."""

    def __init__(self, *errors):
        self.left = [*errors]

    def __call__(self):
        if self.left:
            raise self.left.pop(0)
        return 7


@pytest.mark.usefixtures("at_once")
def test_a_redis_that_is_away_as_a_run_begins_is_waited_for(standing, said, now):
    full = ServiceUnreachableError("Redis is full.", kind="oom")
    answers = Answers(full, AWAY, LeaseNotRenewedError("not renewed"))

    def ask():
        now.s += 4.0
        return answers()

    assert standing.once_it_answers(ask) == 7

    assert said == [
        "Redis does not answer. Since 4 s: the run begins when it works again",
        "Redis works again after 12 s; the run begins",
    ]


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("kind", REFUSED)
def test_a_redis_that_refuses_a_run_as_it_begins_ends_it(standing, kind):
    refuses = ServiceUnreachableError("Redis refuses.", kind=kind)

    with pytest.raises(ServiceUnreachableError, match="refuses"):
        standing.once_it_answers(Answers(AWAY, refuses))


@pytest.mark.usefixtures("at_once")
def test_a_learner_that_waits_to_begin_ends_when_it_is_stopped_or_replaced(
    standing, lease, stopping
):
    lease.is_valid, lease.is_replaced = False, True
    with pytest.raises(LeaseLostError):
        standing.once_it_answers(Answers(AWAY))

    lease.is_valid, lease.is_replaced, lease.stop_requested = True, False, True
    with pytest.raises(ServiceUnreachableError):
        standing.once_it_answers(Answers(AWAY))

    lease.stop_requested = False
    stopping.set()
    with pytest.raises(ServiceUnreachableError):
        standing.once_it_answers(Answers(AWAY))
