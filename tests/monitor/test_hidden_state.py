"""Whether the past says more than the present: played with random actions."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tinyqueue.data.session import Header, SessionBatch
from tinyqueue.envs.build import make_vector
from tinyqueue.envs.spaces import Layout, empty
from tinyqueue.experiment.environment import EnvironmentConfig
from tinyqueue.monitor.hidden_state import HiddenState

HEADER = Header("pole", "e" * 32, "f" * 32, 0, "local", "here", 0, 0)


def batch(observations, actions, rewards=None, valid=None):
    nothing = np.zeros(actions.shape, bool)
    return SessionBatch(
        header=HEADER,
        observations=observations,
        actions={"": actions},
        rewards=np.zeros(actions.shape, np.float32) if rewards is None else rewards,
        terminated=nothing,
        truncated=nothing,
        valid=~nothing if valid is None else valid,
    )


def played(config, batches=20, ticks=32, slots=4):
    """What was seen of random play."""
    vector, rng, hidden = make_vector(config, slots), np.random.default_rng(0), HiddenState()
    actions_of: Any = vector.single_action_space
    layout = Layout(vector.single_observation_space, "the observations")
    last, ended = vector.reset(seed=0)[0], np.zeros(slots, bool)
    for _ in range(batches):
        rows = empty(layout.space, ticks + 1, slots)
        layout.write(last, {path: row[0] for path, row in rows.items()})
        actions = rng.integers(actions_of.n, size=(ticks, slots)).astype(np.uint8)
        rewards, valid = np.zeros((ticks, slots), np.float32), np.zeros((ticks, slots), bool)
        for tick in range(ticks):
            valid[tick] = ~ended
            last, rewards[tick], terminated, truncated, _ = vector.step(
                actions[tick].astype(np.int64)
            )
            layout.write(last, {path: row[tick + 1] for path, row in rows.items()})
            ended = terminated | truncated
        hidden.see(batch(rows, actions, rewards, valid))
    vector.close()
    return hidden


@pytest.mark.parametrize("environment_id", ["CartPole-v1", "MountainCar-v0", "Acrobot-v1"])
def test_nothing_is_gained_where_all_is_seen(environment_id):
    hidden = played(EnvironmentConfig(id=environment_id))
    assert hidden.gain() < 0.1
    assert hidden.surprises() < 0.1


@pytest.mark.parametrize(
    ("environment_id", "kept"),
    [("CartPole-v1", (0, 2)), ("MountainCar-v0", (0,)), ("Acrobot-v1", (0, 1, 2, 3))],
)
def test_the_observation_before_says_more_where_velocities_are_hidden(environment_id, kept):
    assert played(EnvironmentConfig(id=environment_id, keep=kept)).gain() > 0.25


def test_chance_is_no_memory():
    hidden = played(EnvironmentConfig(id="FrozenLake-v1"))
    assert hidden.gain() < 0.1
    assert hidden.surprises() < 0.2


def corridor(doors):
    """Two rooms that look alike, and doors that lead back and forth by turns."""
    ticks = 40
    room = np.zeros((ticks + 1, 1), np.uint8)
    room[:] = np.array(doors * ticks)[: ticks + 1, None]
    hidden = HiddenState()
    hidden.see(batch({"": room}, np.zeros((ticks, 1), np.uint8)))
    return hidden


def test_an_action_that_leads_elsewhere_the_next_time_surprises():
    assert corridor([0, 0, 1, 1]).surprises() > 0.2
    assert corridor([0, 1]).surprises() == 0.0


@pytest.mark.parametrize("path", ["arm", "go"])
def test_actions_that_differ_in_any_part_are_not_the_same(path):
    # Given a place that every action leaves alone, and a reward for one part of the action
    ticks, rng = 64, np.random.default_rng(0)
    actions: dict[str, Any] = {
        "go": rng.integers(2, size=(ticks, 1)).astype(np.uint8),
        "arm": rng.choice([0.3, 0.6], size=(ticks, 1, 1)).astype(np.float32),
    }
    rewards = actions[path].reshape(ticks, 1).astype(np.float32)
    hidden = HiddenState()
    here = {"": np.zeros((ticks + 1, 1, 1), np.float32)}
    hidden.see(replace(batch(here, actions["go"], rewards), actions=actions))
    # Then nothing surprises
    assert hidden.surprises() == 0.0


def test_images_are_not_fitted():
    hidden = HiddenState()
    hidden.see(batch({"": np.zeros((9, 2, 84, 84), np.uint8)}, np.zeros((8, 2), np.uint8)))
    assert hidden.gain() == 0.0


def test_nothing_seen_says_nothing():
    assert (HiddenState().gain(), HiddenState().surprises()) == (0.0, 0.0)
