"""Observations without some of their parts."""

from typing import Any, cast

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from tinyqueue.envs.build import make_environment, make_vector
from tinyqueue.envs.dropped import drop, drop_notice, unsupported_parts
from tinyqueue.errors import ConfigError
from tinyqueue.experiment.environment import EnvironmentConfig

ANGLE = spaces.Box(-1, 1, (2,))
ROOM = spaces.Dict(
    {
        "image": spaces.Box(0, 255, (3, 3), np.uint8),
        "mission": spaces.Text(20),
        "arm": spaces.Dict({"angle": ANGLE, "name": spaces.Text(5)}),
        "hands": spaces.Tuple([spaces.Text(4), spaces.Discrete(3)]),
    }
)


class Room(gymnasium.Env):
    """Shows a sample of its space, whatever is done."""

    action_space = spaces.Discrete(2)

    def __init__(self, space=ROOM):
        self.observation_space = space

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.observation_space.sample(), {}

    def step(self, action):
        return self.observation_space.sample(), 1.0, False, False, {}


@pytest.fixture
def registered():
    gymnasium.register("Room-v0", cast(Any, Room))
    yield "Room-v0"
    del gymnasium.registry["Room-v0"]


def test_what_is_no_array_of_numbers_is_found_by_path():
    assert unsupported_parts(ROOM) == ("arm/name", "hands/0", "mission")


@pytest.mark.parametrize(
    "space",
    [spaces.Discrete(3), spaces.Text(3), spaces.Dict({"a": spaces.Text(3)}), ANGLE],
)
def test_nothing_is_found_where_all_is_well_or_nothing_would_remain(space):
    assert unsupported_parts(space) == ()


def test_what_remains_is_of_the_space_that_remains():
    room = drop(Room(), unsupported_parts(ROOM))
    left = room.observation_space
    assert unsupported_parts(left) == ()
    seen, _ = room.reset(seed=1)
    assert seen in left
    assert seen in room.observation_space
    assert sorted(seen) == ["arm", "hands", "image"]
    assert list(seen["hands"]) == ["1"]
    assert room.step(0)[0] in left


def test_a_whole_branch_is_dropped_by_its_path():
    room = drop(Room(), ["arm", "mission", "hands/0"])
    assert isinstance(room.observation_space, spaces.Dict)
    assert sorted(room.observation_space) == ["hands", "image"]


def test_a_tuple_that_loses_nothing_stays_a_tuple():
    pair = spaces.Dict({"a": spaces.Text(2), "b": spaces.Tuple([spaces.Discrete(2)] * 2)})
    room = drop(Room(pair), ["a"])
    assert isinstance(room.observation_space, spaces.Dict)
    assert isinstance(room.observation_space["b"], spaces.Tuple)
    assert room.reset()[0] in room.observation_space


@pytest.mark.parametrize("paths", [["misson"], ["arm/angl"], [""], ["image/0"]])
def test_a_path_that_is_not_there_is_refused_with_those_that_are(paths):
    with pytest.raises(ConfigError, match=r"arm/angle, arm/name, hands/0, hands/1, image, mission"):
        drop(Room(), paths)


def test_a_plain_observation_has_no_parts_to_drop():
    with pytest.raises(ConfigError, match="no parts: they are Discrete"):
        drop(Room(spaces.Discrete(3)), ["mission"])


def test_dropping_everything_is_refused():
    with pytest.raises(ConfigError, match="leaves nothing"):
        drop(Room(), ["image", "mission", "arm", "hands"])


def test_the_notice_says_the_setting_as_it_is_written():
    said = drop_notice("Room-v0", ["arm/name", "mission"])
    assert "'arm/name', 'mission'" in said
    assert 'environment.drop = ["arm/name", "mission"]' in said


def test_environments_of_a_stage_and_of_evaluation_drop_alike(registered):
    config = EnvironmentConfig(id=registered, drop=("mission", "arm/name", "hands/0"))
    vector = make_vector(config, 3)
    single = make_environment(config)
    assert vector.single_observation_space == single.observation_space
    seen, _ = vector.reset(seed=1)
    assert seen["hands"]["1"].shape == (3,)
    vector.close()
