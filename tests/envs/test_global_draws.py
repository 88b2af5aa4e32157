"""Generators that a process shares: seeded for environments, and given back after games."""

import random

import numpy as np

from tinyqueue.bus.backoff import Backoff
from tinyqueue.envs.global_draws import global_draws, seed_global_draws


def draws():
    return random.random(), np.random.random()


def seeded(seed):
    seed_global_draws(seed)
    return draws()


def test_the_same_seed_draws_the_same_and_another_does_not():
    assert seeded(7) == seeded(7)
    assert not {*seeded(7)} & {*seeded(8)}
    assert seeded(2**64) == seeded(2**64)


def test_behind_games_all_goes_on_as_without_them():
    seed_global_draws(1)
    expected = [draws(), draws()]
    seed_global_draws(1)
    first = draws()
    with global_draws(5):
        within = draws()
    assert [first, draws()] == expected
    assert within == seeded(5)


def test_pauses_of_publishers_do_not_follow_from_it():
    pauses = []
    for _ in range(2):
        seed_global_draws(3)
        pauses.append(Backoff().refused())
    assert pauses[0] != pauses[1]
