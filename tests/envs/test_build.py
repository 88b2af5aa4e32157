"""Building environments, one or many, by configuration."""

import re
import sys
from typing import Any

import gymnasium
import numpy as np
import pytest
from celery.exceptions import SoftTimeLimitExceeded
from gymnasium.envs.classic_control.cartpole import CartPoleEnv, CartPoleVectorEnv
from gymnasium.vector import AutoresetMode

from tinyqueue.envs.build import make_environment, make_vector, reset_seeded
from tinyqueue.envs.side_by_side import SideBySide
from tinyqueue.errors import ConfigError, MissingExtraError, TinyqueueError, UnknownNameError
from tinyqueue.experiment.environment import EnvironmentConfig
from tinyqueue.installing import install_command


@pytest.fixture
def register():
    """Registers environments for one test."""
    names = []

    def add(name, entry_point, **kwargs):
        gymnasium.register(name, entry_point, **kwargs)
        names.append(name)

    yield add
    for name in names:
        gymnasium.registry.pop(name)


def build(name, slots=2, **kwargs):
    return make_vector(EnvironmentConfig(id=name, **kwargs), slots)


def test_cartpole_is_built_in_its_own_vectorised_form():
    vector = build("CartPole-v1", 5)
    assert isinstance(vector, CartPoleVectorEnv)
    assert vector.num_envs == 5


def test_another_environment_is_built_one_by_one_with_next_step_autoreset():
    vector = build("Acrobot-v1", 3)
    assert isinstance(vector, SideBySide)
    assert vector.num_envs == 3
    assert vector.metadata["autoreset_mode"] == AutoresetMode.NEXT_STEP


@pytest.mark.parametrize("name", ["CartPole-v1", "Acrobot-v1"])
def test_the_limit_of_steps_truncates_in_both_forms(name):
    vector = build(name, max_episode_steps=3)
    vector.reset(seed=0)
    ends = [vector.step(np.array([0, 1]))[2:4] for _ in range(3)]
    assert [truncated.tolist() for _, truncated in ends] == [[False] * 2, [False] * 2, [True] * 2]
    assert not any(terminated.any() for terminated, _ in ends)


@pytest.mark.parametrize(("name", "limit"), [("CartPole-v0", 200), ("CartPole-v1", 500)])
def test_without_one_the_limit_of_the_id_holds(name, limit):
    assert build(name).max_episode_steps == limit


def test_keyword_arguments_reach_the_vectorised_form():
    vector = build("CartPole-v1", kwargs={"sutton_barto_reward": True})
    assert isinstance(vector, CartPoleVectorEnv)
    vector.reset(seed=0)
    assert vector.step(np.array([0, 1]))[1].tolist() == [0.0, 0.0]


def test_keyword_arguments_reach_each_single_environment():
    vector = build("FrozenLake-v1", kwargs={"map_name": "8x8"})
    assert vector.single_observation_space.n == 64


class Wide(CartPoleVectorEnv):
    """A vectorised form with other observations than the single environment."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.single_observation_space = gymnasium.spaces.Box(-1, 1, (8,))


class SameStep(CartPoleVectorEnv):
    metadata = {**CartPoleVectorEnv.metadata, "autoreset_mode": AutoresetMode.SAME_STEP}  # noqa: RUF012


class FewerArguments(CartPoleVectorEnv):
    def __init__(self, num_envs):
        super().__init__(num_envs)


@pytest.mark.parametrize("form", [Wide, SameStep, FewerArguments])
def test_a_vectorised_form_that_plays_differently_is_not_used(register, form):
    register("Odd-v0", CartPoleEnv, vector_entry_point=form, max_episode_steps=7)
    vector = build("Odd-v0")
    assert isinstance(vector, SideBySide)
    assert vector.single_observation_space.shape == (4,)


@pytest.mark.parametrize("name", ["CartPole-v1", "Acrobot-v1"])
def test_the_same_seed_gives_the_same_first_observations_and_slots_differ(name):
    first = reset_seeded(build(name), 7, 0).copy()
    assert np.array_equal(reset_seeded(build(name), 7, 0), first)
    assert not np.array_equal(reset_seeded(build(name), 8, 0), first)
    assert not np.array_equal(reset_seeded(build(name), 7, 1), first)
    assert not np.array_equal(first[0], first[1])


def test_arguments_that_the_environment_does_not_take_are_named():
    config = EnvironmentConfig(id="CartPole-v1", kwargs={"gravity": 1.0})
    with pytest.raises(ConfigError, match=r"CartPole-v1 cannot be built.*'gravity': 1.0"):
        make_environment(config)


class Sized(CartPoleEnv):
    def __init__(self, size, *, colour, render_mode=None):
        super().__init__(render_mode)


@pytest.mark.parametrize(
    ("given", "lacks"),
    [
        ({}, ["size"]),
        ({"size": 3}, ["colour"]),
        ({"colour": "red"}, ["size"]),
    ],
)
def test_arguments_that_the_environment_needs_are_named_with_how_to_give_them(
    register, given, lacks
):
    register("Sized-v0", Sized)
    with pytest.raises(TinyqueueError) as error:
        make_environment(EnvironmentConfig(id="Sized-v0", kwargs=given))

    advised = re.findall(r"--set environment\.kwargs\.(\w+)=VALUE", str(error.value))
    assert advised == lacks


def test_what_a_part_of_the_environment_lacks_is_no_argument_of_it(register):
    def make(sized: Any = Sized, render_mode=None):
        return sized()

    register("Sized-v1", make)
    with pytest.raises(TinyqueueError) as error:
        make_environment(EnvironmentConfig(id="Sized-v1"))

    assert "size" in str(error.value)
    assert "environment.kwargs" not in str(error.value)


@pytest.mark.parametrize("key", ["max_episode_steps", "id", "num_envs", "wrappers"])
def test_arguments_that_belong_elsewhere_are_refused(key):
    config = EnvironmentConfig(id="CartPole-v1", kwargs={key: 1})
    with pytest.raises(ConfigError, match=key):
        make_vector(config, 2)


def test_a_missing_package_with_an_extra_names_the_extra(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("gymnasium.envs.box2d")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "Box2D", None)
    command = re.escape(install_command("box2d"))
    with pytest.raises(MissingExtraError, match=f"LunarLander-v3.*{command}"):
        make_environment(EnvironmentConfig(id="LunarLander-v3"))


def test_another_missing_package_is_told_in_the_environments_own_words(register):
    register("Gone-v0", "no_such_package.module:Env")
    with pytest.raises(ConfigError, match=r"Gone-v0.*no_such_package"):
        make_environment(EnvironmentConfig(id="Gone-v0"))


def test_an_unknown_id_is_told_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean 'Acrobot-v1'"):
        build("Acrobat-v1")


def failing(error):
    def form(**_):
        raise error

    return form


@pytest.mark.parametrize("error", [ZeroDivisionError(), KeyError("x"), RuntimeError("no device")])
def test_a_vectorised_form_that_fails_is_not_used(register, error):
    register("Odd-v0", CartPoleEnv, vector_entry_point=failing(error))
    assert isinstance(build("Odd-v0"), SideBySide)


def test_a_time_limit_that_strikes_the_vectorised_form_stays_one(register):
    register("Odd-v0", CartPoleEnv, vector_entry_point=failing(SoftTimeLimitExceeded(3)))
    with pytest.raises(SoftTimeLimitExceeded):
        build("Odd-v0")
