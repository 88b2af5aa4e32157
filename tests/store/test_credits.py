"""Credits in a real Redis."""

from __future__ import annotations

import time

import pytest
import redis
from meanwhile import meanwhile

from tinyqueue.store.credits import Credit, CreditStore

pytestmark = pytest.mark.integration


def test_credits_are_taken_oldest_first(client: redis.Redis) -> None:
    store = CreditStore(client, "pole")
    store.append(Credit(5, 0))
    store.append(Credit(3, 1))

    assert store.waiting() == 2
    assert store.take(1.0) == Credit(5, 0)
    assert store.take(1.0) == Credit(3, 1)
    assert store.waiting() == 0


def test_a_taker_waits_no_longer_than_it_says(client: redis.Redis) -> None:
    began_s = time.monotonic()

    assert CreditStore(client, "pole").take(0.05) is None
    assert time.monotonic() - began_s < 2.0


def test_whoever_waits_gets_a_credit_at_once(client: redis.Redis) -> None:
    store = CreditStore(client, "pole")

    with meanwhile(0.1, store.append, Credit(1, 4)):
        assert store.take(5.0) == Credit(1, 4)


def test_credits_of_an_earlier_learner_are_taken_back(client: redis.Redis) -> None:
    store = CreditStore(client, "pole")
    store.append(Credit(1, 0))

    store.clear()

    assert store.take(0.01) is None
