from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from tinyqueue.errors import (
    LeaseHeldError,
    LeaseLostError,
    LeaseNotRenewedError,
    ServiceUnreachableError,
)
from tinyqueue.settings import host_name
from tinyqueue.store.client import connect
from tinyqueue.store.keys import Keys
from tinyqueue.store.lease import (
    LearnerLease,
    learner_is_alive,
    read_lease,
    request_stop,
    since_boot_s,
)

pytestmark = pytest.mark.integration

KEYS = Keys("cartpole")
MakeLease = Callable[..., LearnerLease]


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def make(client: redis.Redis) -> Iterator[MakeLease]:
    made: list[LearnerLease] = []

    def lease(holder: str = "first", run: str = "a" * 32, **changes: Any) -> LearnerLease:
        made.append(LearnerLease(client, "cartpole", run, holder, **changes))
        return made[-1]

    yield lease
    for each in made:
        each.release()


def until(condition: Callable[[], bool], within_s: float = 3.0) -> bool:
    deadline = time.monotonic() + within_s
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


def test_a_lease_names_its_holder_run_epoch_and_end(make: MakeLease, client: redis.Redis) -> None:
    assert read_lease(client, "cartpole") is None
    assert not learner_is_alive(client, "cartpole")
    lease = make("pid 7")
    was_valid = lease.is_valid
    assert lease.acquire(0) == 1
    info = read_lease(client, "cartpole")
    assert info is not None
    assert (info.holder, info.host, info.run, info.epoch) == ("pid 7", host_name(), "a" * 32, 1)
    assert 14.0 < info.ttl_s <= 15.0
    assert 0.0 <= info.since_s <= 2.0
    assert learner_is_alive(client, "cartpole")
    lease.check()
    assert (was_valid, lease.is_valid) == (False, True)
    assert lease.epoch == 1


def test_epochs_rise_above_the_run_directorys_and_above_redis(make: MakeLease) -> None:
    lease = make()
    assert lease.acquire(at_least_epoch=6) == 7
    lease.release()
    assert lease.acquire(at_least_epoch=2) == 8


def test_a_second_learner_is_refused_and_told_who_trains(make: MakeLease) -> None:
    make("pid 7").acquire(0)
    with pytest.raises(LeaseHeldError) as caught:
        make("pid 8", run="b" * 32).acquire(0)
    said = str(caught.value)
    assert f"pid 7 on {host_name()}" in said
    assert "epoch 1" in said
    assert "held for" in said
    assert "try again in 15 s" in said


def test_a_killed_learner_s_lease_is_taken_over_by_its_own_run_at_once(
    make: MakeLease, client: redis.Redis
) -> None:
    killed = make("pid 7")
    killed.acquire(0)

    restarted = make("pid 8")

    assert restarted.acquire(at_least_epoch=1) == 2
    info = read_lease(client, "cartpole")
    assert info is not None
    assert (info.holder, info.epoch) == ("pid 8", 2)
    assert 14.0 < info.ttl_s <= 15.0
    restarted.check()
    # Should the first be alive after all, it learns that it is over and takes nothing back.
    assert not killed.renew()
    with pytest.raises(LeaseLostError, match=r"taken over by pid 8 on .*epoch 2"):
        killed.check()
    killed.release()
    assert client.hget(KEYS.lease, "holder") == b"pid 8"


def test_a_released_lease_is_free_at_once_and_no_longer_valid(
    make: MakeLease, client: redis.Redis
) -> None:
    lease = make()
    lease.acquire(0)
    lease.release()
    assert read_lease(client, "cartpole") is None
    with pytest.raises(LeaseLostError):
        lease.check()


def test_the_thread_renews_in_time(make: MakeLease) -> None:
    lease = make(ttl_s=0.3)
    lease.acquire(0)
    time.sleep(1.0)
    lease.check()


def test_a_learner_that_ends_without_a_word_is_succeeded_after_the_ttl(
    make: MakeLease, client: redis.Redis
) -> None:
    dead = make("dead", ttl_s=0.3)
    dead.acquire(0)
    dead._ending.set()
    successor = make("successor", run="b" * 32)
    assert until(lambda: not client.exists(KEYS.lease))
    assert successor.acquire(0) == 2


def test_the_lease_ends_on_the_holders_own_clock_without_asking_redis(make: MakeLease) -> None:
    clock = Clock()
    lease = make(clock=clock)
    lease.acquire(0)
    clock.now += 14.9
    lease.check()
    clock.now += 0.1
    assert not lease.is_valid
    with pytest.raises(LeaseNotRenewedError, match="not be renewed within 15 s"):
        lease.check()


def test_an_expired_lease_that_no_one_took_is_valid_again_after_a_renewal(
    make: MakeLease, client: redis.Redis
) -> None:
    clock = Clock()
    lease = make(clock=clock)
    lease.acquire(0)
    client.delete(KEYS.lease)
    clock.now += 60.0
    assert not lease.is_valid
    assert lease.renewed_ago_s == 60.0
    assert not lease.is_replaced
    assert lease.renew()
    lease.check()


def test_a_replaced_learner_is_told_by_whom_and_stays_out(
    make: MakeLease, client: redis.Redis
) -> None:
    frozen, successor = make("frozen"), make("successor", run="b" * 32)
    frozen.acquire(0)
    client.delete(KEYS.lease)
    assert successor.acquire(0) == 2
    assert not frozen.renew()
    assert frozen.is_replaced
    with pytest.raises(LeaseLostError, match=r"taken over by successor on .*epoch 2"):
        frozen.check()
    frozen.release()
    successor.check()
    info = read_lease(client, "cartpole")
    assert info is not None
    assert info.holder == "successor"


def test_a_successor_that_has_come_and_gone_still_replaces(
    make: MakeLease, client: redis.Redis
) -> None:
    frozen, successor = make("frozen"), make("successor")
    frozen.acquire(0)
    client.delete(KEYS.lease)
    successor.acquire(0)
    successor.release()
    assert not frozen.renew()
    with pytest.raises(LeaseLostError, match="has since ended"):
        frozen.check()
    assert not client.exists(KEYS.lease)


def test_the_default_clock_goes_on_while_the_machine_sleeps(make: MakeLease) -> None:
    lease = make()
    lease.acquire(0)
    before = since_boot_s()
    assert 0.0 <= lease.renewed_ago_s < 3.0
    if sys.platform == "linux":
        assert abs(before - time.clock_gettime(time.CLOCK_BOOTTIME)) < 1.0


def test_after_flushall_the_holder_writes_lease_and_epoch_anew(
    make: MakeLease, client: redis.Redis
) -> None:
    lease = make("pid 7")
    lease.acquire(4)
    client.flushall()
    assert lease.renew()
    info = read_lease(client, "cartpole")
    assert info is not None
    assert (info.holder, info.epoch) == ("pid 7", 5)
    assert client.get(KEYS.epoch) == b"5"
    assert 14.0 < info.ttl_s <= 15.0


def test_a_stop_request_reaches_the_holder_and_not_its_successor(
    make: MakeLease, client: redis.Redis
) -> None:
    assert request_stop(client, "cartpole") is None
    lease = make("pid 7", ttl_s=0.3)
    lease.acquire(0)
    assert not lease.stop_requested
    info = request_stop(client, "cartpole")
    assert info is not None
    assert info.holder == "pid 7"
    assert until(lambda: lease.stop_requested)
    lease.release()
    successor = make("successor")
    successor.acquire(0)
    assert successor.renew()
    assert not successor.stop_requested


def test_a_redis_that_does_not_answer_costs_the_lease_only_after_its_deadline(
    make: MakeLease, client: redis.Redis, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tinyqueue.store.client.TIMEOUT_S", 0.1)
    with connect(redis_url) as hurried:
        lease = LearnerLease(hurried, "cartpole", "a" * 32, "pid 7", ttl_s=0.6)
        lease.acquire(0)
        client.client_pause(1500)
        lease.check()
        with pytest.raises(ServiceUnreachableError):
            lease.renew()
        assert until(lambda: not lease.is_valid)
        with pytest.raises(LeaseNotRenewedError, match=r"within 0\.6 s \(Redis at .*not answer"):
            lease.check()
        assert not lease.is_replaced
        assert until(lambda: lease.is_valid)
        assert (lease.trouble, lease.epoch) == ("", 1)
        lease.check()
        lease.release()
