"""The states that policies are compared in: always the same, and nobody's doing."""

import numpy as np
import pytest

from tinyqueue.evaluation.held_out import SEED, held_out_states
from tinyqueue.player.stage import Stage


def arrays_of(batch):
    """Everything that a network may see of it."""
    named = {**batch.observations, **batch.actions, **batch.carry}
    return [*named.values(), batch.rewards, batch.terminated, batch.truncated, batch.valid]


def are_equal(one, other):
    pairs = zip(arrays_of(one), arrays_of(other), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


def test_every_run_in_the_same_environment_has_the_same_states(spec):
    # Given two runs that agree in nothing but the environment
    one = spec("CartPole-v1", ticks=4, slots=2)
    other = spec("CartPole-v1", 9, 5, "epsilon-greedy", {"schedule": "by-slot"})
    other = other.model_copy(update={"experiment": "pole", "run": "another", "seed": 7})

    # When the states are played for each
    first, second = held_out_states(one, Stage), held_out_states(other, Stage)

    # Then they are the same ones, and others with another seed
    assert are_equal(first, second)
    assert not are_equal(first, held_out_states(one, Stage, seed=SEED + 1))


def test_they_are_of_many_episodes_of_random_actions(spec):
    batch = held_out_states(spec("CartPole-v1", ticks=4, slots=2), Stage)

    assert (batch.ticks, batch.slots) == (512, 8)
    # Random play of CartPole lasts 22 steps on average, and then a tick resets.
    assert 100 < len(batch.episodes) < 250
    assert 3846 < batch.env_steps < 4000
    assert 0.47 < batch.actions[""].mean() < 0.53


@pytest.mark.parametrize("stack", [1, 3])
def test_nothing_came_before_them(spec, stack):
    played = spec("Countdown-v0", ticks=4, slots=2, state={"core/cell": [5]}, stack=stack)

    batch = held_out_states(played, Stage, ticks=6, slots=3)

    assert batch.carry["state/core/cell"].shape == (3, 5)
    assert ("frames" in batch.carry) is (stack > 1)
    assert all(not values.any() for values in batch.carry.values())
    # Episodes of 4 steps, of which the last observation is followed by the next one's first.
    assert batch.valid[:, 0].tolist() == [True, True, True, True, False, True]


def test_those_of_an_atari_game_are_repeated_too(spec):
    pytest.importorskip("ale_py")
    played = spec("ALE/Pong-v5", ticks=4, slots=2, stack=4)

    one, other = (held_out_states(played, Stage, ticks=40, slots=2) for _ in range(2))

    assert are_equal(one, other)
    assert not np.array_equal(one.observations[""][:, 0], one.observations[""][:, 1])
