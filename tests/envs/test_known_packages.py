"""Ids of packages that are known, and what is said of them."""

import re
import sys

import gymnasium
import pytest

from tinyqueue.envs.build import make_environment
from tinyqueue.envs.known_packages import KNOWN_PACKAGES, advice, known_package, modules_for
from tinyqueue.envs.names import find_environment, import_allowed
from tinyqueue.errors import ConfigError, UnknownNameError
from tinyqueue.experiment.environment import EnvironmentConfig

BRINGS = [
    ("MiniGrid-Empty-5x5-v0", "minigrid", "minigrid"),
    ("minigrid-empty-5x5-v0", "minigrid", "minigrid"),
    ("BabyAI-GoToRedBall-v0", "minigrid", "minigrid"),
    ("popgym-RepeatPreviousEasy-v0", "popgym", "popgym"),
    ("highway-fast-v0", "highway-env", "highway_env"),
    ("racetrack-oval-v0", "highway-env", "highway_env"),
    ("FlappyBird-v0", "flappy-bird-gymnasium", "flappy_bird_gymnasium"),
    ("miniwob/click-test-2-v1", "miniwob", "miniwob"),
    ("VizdoomBasic-v1", "vizdoom", "vizdoom.gymnasium_wrapper"),
    ("NetHackScore-v0", "nle", "nle"),
    ("dm_control/cartpole-balance-v0", '"shimmy[dm-control]"', "shimmy"),
    ("FetchReach-v3", "gymnasium-robotics", "gymnasium_robotics"),
    ("PyFlyt/QuadX-Hover-v4", "pyflyt", "PyFlyt.gym_envs"),
    ("SuperMarioBros-1-1-v0", '"gym-super-mario-bros>=9"', "gym_super_mario_bros"),
]


@pytest.fixture
def nothing_installed(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for package in KNOWN_PACKAGES:
        for name in (package.module, package.module.partition(".")[0]):
            if name != "gymnasium":
                monkeypatch.delitem(sys.modules, name, raising=False)


@pytest.mark.parametrize(("environment_id", "install", "module"), BRINGS)
def test_an_id_of_a_package_that_is_not_here_is_told_what_to_install(
    environment_id, install, module, nothing_installed
):
    with pytest.raises(ConfigError, match=re.escape(f"pip install {install}. Then")) as raised:
        find_environment(environment_id)
    assert f"tinyqueue train {environment_id}" in str(raised.value)
    assert f"TINYQUEUE_ENVIRONMENT_MODULES={module} too" in str(raised.value)
    assert modules_for(environment_id, ["mine"]) == ("mine",)


def test_a_simulator_that_is_missing_is_told_with_what_brings_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "mujoco", None)
    with pytest.raises(ConfigError, match=r'pip install "gymnasium\[mujoco\]"'):
        make_environment(EnvironmentConfig(id="Ant-v5"))


@pytest.mark.parametrize("environment_id", ["procgen-coinrun-v0", "CrafterReward-v1"])
def test_a_package_that_registers_nothing_is_told_so(environment_id):
    with pytest.raises(ConfigError, match="registers nothing with Gymnasium"):
        find_environment(environment_id)


@pytest.mark.parametrize("environment_id", ["CartPole-v1", "ALE/Pong-v5", "Taxi-v4", "Snake-v0"])
def test_other_ids_belong_to_no_package(environment_id):
    assert known_package(environment_id) is None
    assert modules_for(environment_id, ()) == ()


def test_every_pattern_is_met_by_one_package_only():
    for environment_id, _, _ in BRINGS:
        met = [p for p in KNOWN_PACKAGES if re.match(p.ids, environment_id, re.IGNORECASE)]
        assert len(met) == 1


def test_gymnasium_s_own_ids_belong_to_no_package_but_its_extras():
    own = {i for i, spec in gymnasium.registry.items() if str(spec.entry_point).startswith("gymn")}
    known = {known_package(environment_id) for environment_id in own} - {None}
    assert {package.install for package in known} == {"gymnasium[mujoco]"}


@pytest.fixture
def minigrid(tmp_path, monkeypatch):
    """A package of that name with one room."""
    (tmp_path / "minigrid.py").write_text(
        "import gymnasium\n"
        "gymnasium.register('MiniGrid-Hut-v0', 'gymnasium.envs.toy_text.taxi:TaxiEnv')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "minigrid", raising=False)
    yield
    gymnasium.registry.pop("MiniGrid-Hut-v0", None)
    sys.modules.pop("minigrid", None)


def test_an_id_alone_imports_no_package_and_the_variable_is_told(minigrid):
    with pytest.raises(ConfigError, match="ENVIRONMENT_MODULES=minigrid tinyqueue train MiniGrid-"):
        find_environment("MiniGrid-Hut-v0")
    assert "minigrid" not in sys.modules


def test_a_command_adds_the_module_once(minigrid):
    assert modules_for("MiniGrid-Hut-v0", ["mine"]) == ("mine", "minigrid")
    assert modules_for("MiniGrid-Hut-v0", ["minigrid"]) == ("minigrid",)


def test_a_misspelt_id_of_an_imported_package_is_told_the_nearest(minigrid):
    import_allowed(modules_for("MiniGrid-Hat-v0", ()))
    with pytest.raises(UnknownNameError, match="did you mean 'MiniGrid-Hut-v0'"):
        find_environment("MiniGrid-Hat-v0")


def test_advice_is_a_sentence_for_every_package():
    for package in KNOWN_PACKAGES:
        assert advice("Some-v0", package).startswith("the environment Some-v0 comes with")


def test_a_module_before_a_colon_is_told_its_variable():
    with pytest.raises(ConfigError, match="=minigrid tinyqueue train MiniGrid-Empty-5x5-v0"):
        find_environment("minigrid:MiniGrid-Empty-5x5-v0")
