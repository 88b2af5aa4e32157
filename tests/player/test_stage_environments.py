"""The stage with environments of every kind: all that it plays is accepted, the rest is refused."""

import copy
import random
from typing import Any, cast

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from watching import Watcher

from tinyqueue.data.spaces import Leaf, space_to_json
from tinyqueue.errors import ConfigError, EnvironmentMismatchError, UnknownNameError
from tinyqueue.experiment.environment import AtariConfig, EnvironmentConfig
from tinyqueue.policy.heads import make_head
from tinyqueue.wire.contract import Contract


def contract(played):
    head = make_head(played.head, played.head_config, played.actions)
    state = {path: Leaf("float32", tuple(shape)) for path, shape in played.state.items()}
    return Contract(
        experiment=played.experiment,
        run=played.run,
        observations=played.observations,
        actions=played.actions,
        ticks=played.ticks,
        slots=played.slots,
        extras=head.extras,
        max_abs_reward=1e6,
        state=state,
        stack=played.environment.stack,
    )


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        ("CartPole-v1", None),
        ("CartPole-v1", 3),
        ("Acrobot-v1", 5),
        ("FrozenLake-v1", None),
        ("Taxi-v4", 9),
        ("Blackjack-v1", None),
        ("Rooms-v0", 2),
        ("Countdown-v0", None),
    ],
)
def test_every_batch_is_what_the_learner_accepts(spec, batches, name, limit):
    played = spec(name, ticks=16, slots=4, max_episode_steps=limit)
    rules = contract(played)
    for batch in batches(played, 12):
        rules.check(batch)


@pytest.mark.slow
@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"max_episode_steps": 9, "stack": 1},
        {"atari": AtariConfig(life_loss=True, colour="rgb", size=32)},
        {"atari": AtariConfig(life_loss=True, crop=(34, 16, 0, 0)), "max_episode_steps": 30},
        {"kwargs": {"obs_type": "ram"}, "stack": 1, "max_episode_steps": 5},
    ],
)
def test_every_batch_of_an_atari_game_is_what_the_learner_accepts(spec, stage, environment):
    pytest.importorskip("ale_py")
    played = spec("ALE/Breakout-v5", ticks=16, slots=2, **environment)
    rules, opened, policy = contract(played), stage(played), Watcher(4)

    batches = [copy.deepcopy(opened.play(policy, "task")) for _ in range(5)]

    for batch in batches:
        rules.check(batch)
        assert batch.observations[""].dtype == np.uint8
    opened.close()


def test_discrete_observations_travel_in_the_smallest_integer(spec, batches):
    (taxi,) = batches(spec("Taxi-v4", ticks=4, slots=3), 1)
    assert taxi.observations[""].dtype == np.uint16
    assert taxi.observations[""].shape == (5, 3)
    assert taxi.actions[""].dtype == np.uint8


def test_a_dict_is_recorded_by_path_and_values_are_counted_from_zero(spec, batches):
    (batch,) = batches(spec("Rooms-v0", ticks=2, slots=3), 1)
    assert sorted(batch.observations) == ["at/room", "light"]
    assert batch.observations["at/room"].tolist() == [[0] * 3, [2] * 3, [2] * 3]
    assert batch.observations["light"][:, 0, 0].tolist() == [0.0, 1.0, 1.0]
    assert batch.actions[""].max() <= 1


def test_an_environment_that_differs_from_the_spec_is_refused_with_both_said(spec, stage):
    wanted = spec("Acrobot-v1", ticks=4, slots=2)
    built = wanted.model_copy(update={"environment": EnvironmentConfig(id="MountainCar-v0")})
    with pytest.raises(EnvironmentMismatchError, match=r"MountainCar-v0 .*\[2\].*\[6\]"):
        stage(built)


def test_an_unknown_environment_is_refused_with_the_nearest(spec, stage):
    wanted = spec("Acrobot-v1", ticks=4, slots=2)
    built = wanted.model_copy(update={"environment": EnvironmentConfig(id="Acrobot-v3")})
    with pytest.raises(UnknownNameError, match="Acrobot-v1"):
        stage(built)


def test_continuous_actions_are_refused_where_the_head_cannot_choose_them(spec, stage):
    # Given a spec that no learner here would write
    pushes = {"": Leaf("float32", (1,), low=-1.0, high=1.0)}
    wanted = spec("CartPole-v1", ticks=4, slots=2).model_copy(
        update={
            "environment": EnvironmentConfig(id="Pendulum-v1"),
            "action_space": space_to_json(pushes),
            "head": "epsilon-greedy",
            "head_config": {"schedule": "by-slot"},
        }
    )
    with pytest.raises(ConfigError, match="ranks actions by their value acts in one Discrete"):
        stage(wanted)


class Drawn(gymnasium.Env):
    """Draws from what a whole process shares."""

    observation_space = spaces.Box(0, 1, (2,), np.float64)
    action_space = spaces.Discrete(2)

    def __init__(self):
        self.made = random.random()

    def reset(self, *, seed=None, options=None):
        return np.array([self.made, np.random.random()]), {}

    def step(self, action):
        return np.array([random.random(), np.random.random()]), 1.0, False, True, {}


def test_stages_of_one_seed_draw_the_same_and_of_two_seeds_nothing_alike(spec, batches):
    gymnasium.register("Drawn-v0", cast(Any, Drawn))
    played = spec("Drawn-v0", ticks=4, slots=3)
    one, again, other = (batches(played, 2, seed=seed)[1] for seed in (1, 1, 2))
    del gymnasium.registry["Drawn-v0"]
    assert np.array_equal(one.observations[""], again.observations[""])
    assert not np.isin(one.observations[""], other.observations[""]).any()
